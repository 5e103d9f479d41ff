"""The command ``lab.py experiment``, run by the lab's own Python.

experiment NAME --images DIR|emoji --count N --start K     run exp0 … exp5, or NAME with options of your own
experiment report DIR… [--out DIR]                         tables and plots of any number of runs
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from ..labkit import places
from ..labkit.client import Client
from ..labkit.console import Console
from ..labkit.errors import LabError
from ..labkit.server import Server
from .graph import Picture
from .report import write_report
from .runner import emoji_pictures, folder_pictures, load_template, run_experiment
from .settings import EXPERIMENTS, Experiment, Options

__all__ = ["main"]

RESULTS = places.OUTPUT / "experiments"


def main(arguments: Sequence[str]) -> int:
    """The exit status. 0: everything asked for is there. 1: something is missing, said in a sentence. 130: Ctrl-C."""
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
            f"The results cannot be written ({error.strerror or error}); what was finished is kept, and the same "
            "command goes on from there.",
            file=sys.stderr,
        )
    except KeyboardInterrupt:
        print("\nStopped. What was finished is kept; the same command goes on from there.", file=sys.stderr)
        return 130
    return 1


def _run(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="lab.py experiment", description="Run an experiment through a prompt queue.")
    parser.add_argument("name", metavar="NAME", help=f"{', '.join(EXPERIMENTS)}, or a name of your own")
    parser.add_argument("--images", default="emoji", metavar="DIR|emoji", help="a folder, or the held-out emoji")
    parser.add_argument("--count", type=int, metavar="N", help="how many images (default: all)")
    parser.add_argument("--start", type=int, default=0, metavar="K", help="the first of them (default: 0)")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="where results go")
    parser.add_argument("--server", metavar="URL", help="a running ComfyUI with this pack, instead of one of our own")
    parser.add_argument("--workflow", type=Path, default=places.MAIN_TEMPLATE, metavar="FILE")
    parser.add_argument("--comfyui", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--base", type=Path, default=places.BASE, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.add_argument_group("options of the experiment, in place of its own")
    for field in fields(Options):
        options.add_argument(f"--{field.name}", metavar=str(field.default))
    asked = parser.parse_args(arguments)

    known = EXPERIMENTS.get(asked.name, Experiment(asked.name, "A setting of your own.", Options()))
    changes = {field.name: getattr(asked, field.name) for field in fields(Options)}
    experiment = replace(
        known, options=known.options.changed(**{name: value for name, value in changes.items() if value is not None})
    )
    if asked.images == "emoji":
        index = places.ROOT / "priors" / "held_out" / "index.json"
        pictures = emoji_pictures(index, asked.count, asked.start)
    else:
        pictures = folder_pictures(Path(asked.images), asked.count, asked.start)

    console = Console()
    if asked.server:
        return _on(console, Client(asked.server), experiment, pictures, asked)
    with Server(asked.comfyui, base=asked.base, port=asked.port) as server:
        return _on(console, Client(server.url), experiment, pictures, asked)


def _on(
    console: Console, client: Client, experiment: Experiment, pictures: Sequence[Picture], asked: argparse.Namespace
) -> int:
    template = load_template(asked.workflow, client.object_info())
    outcome = run_experiment(console, client, template, experiment, pictures, asked.out, asked.start)
    there = outcome.finished + outcome.skipped
    console.line(f"{there} of {len(pictures)} images are in {asked.out / experiment.name}.")
    if outcome.failed:
        console.line(f"{outcome.failed} failed; each has an error.txt, and is tried again by the same command.")
    if outcome.stopped:
        print(f"{outcome.stopped} The same command goes on from there.", file=sys.stderr)
    return 0 if outcome.complete else 1


def _report(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="lab.py experiment report", description="Tables and plots of runs.")
    parser.add_argument("folders", nargs="*", type=Path, default=[RESULTS], metavar="DIR", help="where runs are")
    parser.add_argument("--out", type=Path, default=places.OUTPUT / "report", metavar="DIR", help="where it goes")
    asked = parser.parse_args(arguments)
    for path in write_report(asked.folders, asked.out):
        print(path)
    return 0
