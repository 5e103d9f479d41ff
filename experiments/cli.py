"""The command ``lab.py experiment``, run by the lab's own Python.

experiment NAME --images DIR|emoji --count N --start K     run an experiment of the catalogue, or one of your own
experiment options [--workflow FILE]                       everything that can be set, as the nodes tell it
experiment report DIR... [--out DIR]                       tables and plots of any number of runs
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ..labkit import places
from ..labkit.client import Client
from ..labkit.console import Console
from ..labkit.errors import LabError, about_file
from ..labkit.programs import Terminated, obey_sigterm
from ..labkit.server import Server
from ..labkit.versions import require_version
from ..priors.held_out import ROLES
from .catalogue import BASELINE, EXPERIMENTS, catalogued
from .executors import PromptQueue
from .experiment import Experiment
from .graph import load_template, read_workflow
from .known_names import KNOWN_NAMES, with_known_names
from .listing import option_lines
from .options import Value, canonical, parsed
from .pictures import Picture, emoji_pictures, folder_pictures
from .runner import home_of, jobs_left, run_experiment

__all__ = ["main"]

RESULTS = places.OUTPUT / "experiments"


def main(arguments: Sequence[str]) -> int:
    """The exit status. 0: everything asked for is there. 1: something is missing, said in a sentence. 130: Ctrl-C. 143:
    SIGTERM."""
    undo = obey_sigterm()
    try:
        if arguments[:1] == ["report"]:
            return _report(arguments[1:])
        if arguments[:1] == ["options"]:
            return _options(_parser().parse_args(arguments))
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
        description="Run an experiment through a prompt queue, one image per prompt; started again it does what "
        "is missing.",
        epilog=_experiments(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="one of those below, one of your own, options, or report")
    parser.add_argument("--images", default="emoji", metavar="DIR|emoji", help="a folder, or the held-out emoji")
    parser.add_argument("--count", type=int, metavar="N", help="how many images (default: all)")
    parser.add_argument("--start", type=int, default=0, metavar="K", help="the first of them (default: 0)")
    parser.add_argument(
        "--glyphs", choices=ROLES, default=ROLES[0], help="with emoji: which of them (default: development)"
    )
    parser.add_argument("--retired", action="store_true", help="with emoji: also those near a training picture")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="where results go")
    parser.add_argument("--server", metavar="URL", help="a running ComfyUI with this pack, instead of one of our own")
    parser.add_argument("--workflow", type=Path, metavar="FILE", help="a graph in place of the experiment's own")
    parser.add_argument("--comfyui", type=Path, metavar="PATH", help="use this ComfyUI instead of the lab's own")
    parser.add_argument("--host-version", metavar="VERSION", help="the ComfyUI that the lab fetches")
    parser.add_argument("--base", type=Path, default=places.BASE, help=argparse.SUPPRESS)
    parser.add_argument("--private", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help="where that ComfyUI listens (default: a free port)")
    options = parser.add_argument_group("options of the experiment, in place of its own")
    options.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NODE.INPUT=VALUE",
        help="an input of a node of the workflow, as Pruning.keep=3; several values with commas are a grid. "
        "'lab.py experiment options' lists them all",
    )
    for name, known in KNOWN_NAMES.items():
        options.add_argument(f"--{name}", metavar="VALUE", help=known.help)
    return parser


def _experiments() -> str:
    """Every experiment with its question and what it changes, for the help."""
    lines = ["experiments (what each changes of the baseline):"]
    for name, experiment in EXPERIMENTS.items():
        changed = {key: value for key, value in experiment.options.items() if BASELINE.get(key) != value}
        said = ", ".join(f"{key}={value}" for key, value in changed.items()) or "nothing"
        lines += [f"  {name}  {experiment.question}", f"        {said}"]
    baseline = ", ".join(f"{key}={value}" for key, value in BASELINE.items())
    lines += ["", f"the baseline: {baseline}"]
    return "\n".join([*lines, "", "'lab.py experiment report -h' tells how to make tables and plots of the results."])


def _asked_for(asked: argparse.Namespace) -> Experiment:
    """The experiment with what the command line changes of it."""
    known = catalogued(asked.name)
    given = {name: value for name in KNOWN_NAMES if (value := getattr(asked, name)) is not None}
    options = with_known_names(known.options, given)
    return replace(known, options={**options, **_set_options(asked.set)}, workflow=asked.workflow or known.workflow)


def _set_options(texts: Sequence[str]) -> Mapping[str, Value | list[Value]]:
    found: dict[str, Value | list[Value]] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign:
            raise ValueError(f"--set {text} says no value; write a name and a value, as --set Pruning.keep=3.")
        found[canonical(name.strip())] = parsed(value.strip())
    return found


def _run(arguments: Sequence[str]) -> int:
    asked = _parser().parse_args(arguments)
    experiment = _asked_for(asked)
    points = experiment.points
    if asked.images == "emoji":
        pictures = emoji_pictures(asked.count, asked.start, asked.glyphs, asked.retired)
    else:
        pictures = folder_pictures(Path(asked.images), asked.count, asked.start)
    read_workflow(experiment.workflow)

    console = Console()
    if not asked.server and not any(jobs_left(point, pictures, asked.out, asked.start) for point in points):
        for point in points:
            place = home_of(point, asked.out)
            console.line(f"{len(pictures)} of {len(pictures)} images are in {place}: nothing to do.")
        return 0
    with _client(asked) as (client, server):
        queue = PromptQueue(client, load_template(experiment.workflow, client.object_info()))
        for point in points:
            queue.check(point)
        return max(_point(console, queue, point, pictures, asked, server) for point in points)


@contextmanager
def _client(asked: argparse.Namespace) -> Iterator[tuple[Client, Server | None]]:
    """The client of the server that was named, or of one of our own."""
    if asked.server:
        client = Client(asked.server)
        version = client.system_stats().get("system", {}).get("comfyui_version")
        require_version(version, f"The ComfyUI {version} at {asked.server}")
        yield client, None
    else:
        with Server(asked.comfyui, base=asked.base, private=asked.private, port=asked.port) as server:
            yield Client(server.url), server


def _point(
    console: Console,
    queue: PromptQueue,
    experiment: Experiment,
    pictures: Sequence[Picture],
    asked: argparse.Namespace,
    server: Server | None,
) -> int:
    """Run one experiment, and say what became of it; the exit status."""
    outcome = run_experiment(console, queue, experiment, pictures, asked.out, asked.start)
    there = outcome.finished + outcome.skipped
    console.line(f"{there} of {len(pictures)} images are in {home_of(experiment, asked.out)}.")
    if outcome.failed:
        console.line(f"{outcome.failed} failed; each has an error.txt, and is tried again by the same command.")
    if outcome.left:
        console.line(f"{outcome.left} are left to another experiment that is at them.")
    if outcome.stopped:
        why = (server.why_gone() if server else None) or outcome.stopped
        print(f"{why} The same command goes on from there.", file=sys.stderr)
    return 0 if outcome.complete else 1


def _options(asked: argparse.Namespace) -> int:
    """Print what can be set."""
    workflow = asked.workflow or places.LATENT_DAPS_TEMPLATE
    read_workflow(workflow)
    with _client(asked) as (client, _):
        print("\n".join(option_lines(load_template(workflow, client.object_info()))))
    return 0


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
