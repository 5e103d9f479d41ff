"""Read what runs left on disk: any number of folders with metrics.json files, and what each run says of itself.

A file that cannot be read, a run that did not finish and an image that failed are no reason to read nothing: they are
named, and the rest is counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..metrics_file import load_metrics
from .groups import grouped, with_image_names
from .identity import image_keys, without_repeats
from .reading import LeftOut, names_of, record_files
from .run import Run

__all__ = ["Runs", "load_runs"]


@dataclass(frozen=True)
class Runs:
    """runs: in the order of experiment and image. questions: by experiment.

    problems: what was left out, notes: what was grouped; one sentence each.
    """

    runs: tuple[Run, ...]
    questions: dict[str, str]
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def experiments(self) -> list[str]:
        return list(dict.fromkeys(run.experiment for run in self.runs))

    def of(self, experiment: str) -> list[Run]:
        return [run for run in self.runs if run.experiment == experiment]


def load_runs(folders: Iterable[str | Path]) -> Runs:
    """Every finished run with a quality table in or below ``folders``, each once, in groups that may be averaged.

    A group is what was recorded as one experiment, with equal settings; runs of no experiment are grouped by their
    settings. What is left out or grouped is said.

    Raises:
        ValueError: there is no such folder, or not one run in any of them.
    """
    places = [Path(folder) for folder in folders]
    for folder in places:
        if not folder.exists():
            raise ValueError(f"there is no folder {folder}; run an experiment first, or check the path.")
    left_out = LeftOut()
    files = {file.resolve(): file for folder in places for file in record_files(folder, left_out.unreadable)}
    found: list[Run] = []
    asked: dict[str, str] = {}
    for file in files.values():
        run, question = _read(file, left_out)
        if run is not None:
            found.append(run)
            asked.setdefault(run.experiment, question)
    if not found:
        where = ", ".join(map(str, places)) or "no folder"
        problems = left_out.sentences()
        why = f" ({problems[0]})" if problems else ""
        raise ValueError(f"no finished run was found in {where}{why}; run an experiment first, or check the path.")
    found, repeated = without_repeats(found, image_keys(found))
    named = with_image_names(found, image_keys(found))
    runs, notes = grouped(named)
    name_of = {run.file: run.experiment for run in found}
    questions = {run.experiment: asked[name_of[run.file]] for run in runs}
    ordered = sorted(runs, key=lambda run: (_natural(run.experiment), _natural(run.image)))
    return Runs(tuple(ordered), questions, (*left_out.sentences(), *repeated), tuple(notes))


def _read(file: Path, left_out: LeftOut) -> tuple[Run | None, str]:
    """A run that counts, with the question that its experiment asks; None for one that is left out."""
    if file.name == "error.txt":
        left_out.add_failure(file)
        return None, ""
    try:
        metrics = load_metrics(file)
    except ValueError as error:
        left_out.unreadable.append(str(error))
        return None, ""
    except OSError as error:
        left_out.unreadable.append(f"{file} cannot be read: {error.strerror or error}.")
        return None, ""
    if metrics["status"] != "finished" or not metrics["quality"]:
        left_out.add("no table" if metrics["status"] == "finished" else metrics["status"], file)
        return None, ""
    experiment, image, question = names_of(file, metrics)
    return Run(experiment or "", image, file.parent, metrics, file), question


def _natural(text: str) -> list[tuple[int, int, str]]:
    """For sorting: 50 comes before 100."""
    parts = re.split(r"(\d+)", text)
    return [(0, int(part), "") if part.isdecimal() and len(part) < 20 else (1, 0, part) for part in parts]
