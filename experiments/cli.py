"""The command ``lab.py experiment``, run by the lab's own Python.

experiment NAME --images DIR|emoji --count N --start K     run exp0 ... exp5, or NAME with options of your own
experiment report DIR... [--out DIR]                       tables and plots of any number of runs
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from ..labkit import places
from ..labkit.client import Client
from ..labkit.console import Console
from ..labkit.errors import LabError, about_file
from ..labkit.programs import Terminated, obey_sigterm
from ..labkit.server import Server
from ..labkit.versions import require_version
from ..priors.held_out import ROLES
from .graph import Picture
from .runner import begin, emoji_pictures, folder_pictures, load_template, read_workflow, run_experiment
from .settings import EXPERIMENTS, HELP, Experiment, Options

__all__ = ["main"]

RESULTS = places.OUTPUT / "experiments"


def main(arguments: Sequence[str]) -> int:
    """The exit status. 0: everything asked for is there. 1: something is missing, said in a sentence. 130: Ctrl-C. 143:
    SIGTERM."""
    undo = obey_sigterm()
    try:
        if arguments[:1] == ["report"]:
            return _report(arguments[1:])
        return _run(arguments)
    except LabError as error:
        print(error, file=sys.stderr)
    except ValueError as error:
        print(f"{str(error)[:1].upper()}{str(error)[1:]}", file=sys.stderr)
    except OSError as error:
        print(
            f"The results cannot be written. {about_file(error)} The same command goes on from what is finished.",
            file=sys.stderr,
        )
    except KeyboardInterrupt as error:
        print("\nStopped. What was finished is kept; the same command goes on from there.", file=sys.stderr)
        return 143 if isinstance(error, Terminated) else 130
    finally:
        undo()
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lab.py experiment",
        description="Run an experiment through a prompt queue, one image a prompt; started again it does what is "
        "missing.",
        epilog=_experiments(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="one of the experiments below, a name of your own, or report")
    parser.add_argument("--images", default="emoji", metavar="DIR|emoji", help="a folder, or the held-out emoji")
    parser.add_argument("--count", type=int, metavar="N", help="how many images (default: all)")
    parser.add_argument("--start", type=int, default=0, metavar="K", help="the first of them (default: 0)")
    parser.add_argument(
        "--glyphs", choices=ROLES, default=ROLES[0], help="with emoji: which of them (default: development)"
    )
    parser.add_argument("--retired", action="store_true", help="with emoji: also those near a training picture")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="where results go")
    parser.add_argument("--server", metavar="URL", help="a running ComfyUI with this pack, instead of one of our own")
    parser.add_argument("--workflow", type=Path, default=places.MAIN_TEMPLATE, metavar="FILE")
    parser.add_argument("--comfyui", type=Path, metavar="PATH", help="use this ComfyUI instead of the lab's own")
    parser.add_argument("--host-version", metavar="VERSION", help="the ComfyUI that the lab fetches")
    parser.add_argument("--base", type=Path, default=places.BASE, help=argparse.SUPPRESS)
    parser.add_argument("--private", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help="where that ComfyUI listens (default: a free port)")
    options = parser.add_argument_group("options of the experiment, in place of its own")
    for field in fields(Options):
        options.add_argument(f"--{field.name}", metavar=str(field.default), help=HELP[field.name])
    return parser


def _experiments() -> str:
    """Every experiment with its question and what it changes, for the help."""
    baseline = Options().to_dict()
    lines = ["experiments (what each changes of exp0, whose options are shown above):"]
    for name, experiment in EXPERIMENTS.items():
        changed = {key: value for key, value in experiment.options.to_dict().items() if value != baseline[key]}
        said = ", ".join(f"{key} {value}" for key, value in changed.items()) or "nothing"
        lines += [f"  {name}  {experiment.question}", f"        {said}"]
    return "\n".join([*lines, "", "'lab.py experiment report -h' tells how to make tables and plots of the results."])


def _run(arguments: Sequence[str]) -> int:
    asked = _parser().parse_args(arguments)
    known = EXPERIMENTS.get(asked.name, Experiment(asked.name, "A setting of your own.", Options()))
    changes = {field.name: getattr(asked, field.name) for field in fields(Options)}
    experiment = replace(
        known, options=known.options.changed(**{name: value for name, value in changes.items() if value is not None})
    )
    if asked.images == "emoji":
        pictures = emoji_pictures(asked.count, asked.start, asked.glyphs, asked.retired)
    else:
        pictures = folder_pictures(Path(asked.images), asked.count, asked.start)
    read_workflow(asked.workflow)

    console = Console()
    if asked.server:
        client = Client(asked.server)
        version = client.system_stats().get("system", {}).get("comfyui_version")
        require_version(version, f"The ComfyUI {version} at {asked.server}")
        return _on(console, client, experiment, pictures, asked)
    if not begin(Console(io.StringIO()), experiment, pictures, asked.out, asked.start):
        console.line(f"{len(pictures)} of {len(pictures)} images are in {asked.out / experiment.name}: nothing to do.")
        return 0
    with Server(asked.comfyui, base=asked.base, private=asked.private, port=asked.port) as server:
        return _on(console, Client(server.url), experiment, pictures, asked, server)


def _on(
    console: Console,
    client: Client,
    experiment: Experiment,
    pictures: Sequence[Picture],
    asked: argparse.Namespace,
    server: Server | None = None,
) -> int:
    template = load_template(asked.workflow, client.object_info())
    outcome = run_experiment(console, client, template, experiment, pictures, asked.out, asked.start)
    there = outcome.finished + outcome.skipped
    console.line(f"{there} of {len(pictures)} images are in {asked.out / experiment.name}.")
    if outcome.failed:
        console.line(f"{outcome.failed} failed; each has an error.txt, and is tried again by the same command.")
    if outcome.left:
        console.line(f"{outcome.left} are left to another experiment that is at them.")
    if outcome.stopped:
        why = (server.why_gone() if server else None) or outcome.stopped
        print(f"{why} The same command goes on from there.", file=sys.stderr)
    return 0 if outcome.complete else 1


def _report(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="lab.py experiment report", description="Tables and plots of runs.")
    parser.add_argument("folders", nargs="*", type=Path, default=[RESULTS], metavar="DIR", help="where runs are")
    parser.add_argument("--out", type=Path, default=places.OUTPUT / "report", metavar="DIR", help="where it goes")
    asked = parser.parse_args(arguments)
    from .report import write_report  # matplotlib and torch, which the help does without

    for path in write_report(asked.folders, asked.out):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
