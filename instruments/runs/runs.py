"""Read what runs left on disk: any number of folders with metrics.json files, and what each run says of itself.

A file that cannot be read, a run that did not finish and an image that failed are no reason to read nothing: they are
named, and the rest is counted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from ..metrics_file import load_metrics, row_of
from ..metrics_schema import CHOICES
from .groups import grouped, with_image_names
from .identity import image_keys, without_repeats
from .reading import LeftOut, names_of, record_files

__all__ = ["Run", "Runs", "load_runs", "record_files"]


@dataclass(frozen=True)
class Run:
    """One image of one experiment.

    experiment, image: their names; one image of an experiment is one run. folder, file: where it lies. metrics: the
    file's content, of the present schema.
    """

    experiment: str
    image: str
    folder: Path
    metrics: dict[str, Any]
    file: Path

    @property
    def table(self) -> dict[str, Any]:
        """The quality table."""
        return self.metrics["quality"][0]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The table's rows, one a particle."""
        return self.table["particles"]

    def chosen(self, choice: str) -> dict[str, Any]:
        """The row that ``choice`` ("blind", "oracle" or "oracle_raw") picks."""
        return row_of(self.table, choice)

    def score(self, metric: str, choice: str, group: str = "aligned") -> float | None:
        """PSNR in dB, SSIM or LPIPS of the chosen particle, "aligned" or "raw"; None when it is not known.

        choice: one of ``CHOICES``, or "mean" or "std" over the particles, known when every particle's is: leaving out
            those that became NaN would make the mean better the more of them there are.
        """
        if choice in CHOICES:
            return _score(self.chosen(choice), group, metric)
        values = [_score(row, group, metric) for row in self.rows]
        if None in values:
            return None
        return fmean(values) if choice == "mean" else pstdev(values)

    def success(self, choice: str = "blind") -> bool:
        """Whether the chosen particle is a reconstruction: more than 20 dB aligned and 5 dB above a flat image.

        One that is not finite is none.
        """
        row = self.chosen(choice)
        return row["success"] and row["finite"]

    @property
    def coverage(self) -> dict[str, int]:
        """How many particles ended as the picture ("0°"), as its twin ("180°"), and as "neither"."""
        counts = {"0°": 0, "180°": 0, "neither": 0}
        for row in self.rows:
            turned = str(row["symmetry"]).startswith("rot180")
            counts["neither" if not (row["success"] and row["finite"]) else "180°" if turned else "0°"] += 1
        return counts

    @property
    def was_recorded(self) -> bool:
        """False for images that were compared without a run: of those no time and no calls are known."""
        return bool(self.metrics["phases"])

    @property
    def seconds(self) -> float | None:
        return float(self.metrics["wall_seconds"]) if self.was_recorded else None

    def calls(self, kind: str) -> int | None:
        """ "denoiser", "decoder_forward" or "decoder_backward", counted per particle."""
        return self.metrics["calls"][kind] if self.was_recorded else None

    @property
    def peak_memory_bytes(self) -> int | None:
        """The largest of the phases."""
        known = [phase["peak_memory_bytes"] for phase in self.metrics["phases"] if phase["peak_memory_bytes"]]
        return max(known, default=None)

    def phase(self, name: str) -> dict[str, Any] | None:
        """Time, memory and calls of "explore", "prune", "refine" or "polish"; None when the run had no such phase."""
        return next((phase for phase in self.metrics["phases"] if phase["name"] == name), None)

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The annealing steps that noted a residual."""
        return [row for row in self.metrics["steps"] if row.get("residual")]

    def residual_ratios(self, step: dict[str, Any]) -> list[float]:
        """Residuals of a step over the noise floor, of the particles that are finite; empty without a noise floor."""
        floor = self.metrics["measurement"].get("noise_floor")
        return [value / floor for value in step["residual"] if value is not None] if floor else []

    @property
    def polish_iterations(self) -> list[int]:
        """Iterations of hard consistency, one number a particle and step."""
        return [n for step in self.metrics["steps"] for n in (step.get("polish") or {}).get("iterations", [])]

    @property
    def polish_accepted(self) -> list[bool]:
        """Whether the move was accepted, of every particle and step."""
        return [bool(a) for step in self.metrics["steps"] for a in (step.get("polish") or {}).get("accepted", [])]


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
    folders = [Path(folder) for folder in folders]
    for folder in folders:
        if not folder.exists():
            raise ValueError(f"there is no folder {folder}; run an experiment first, or check the path.")
    left_out = LeftOut()
    files = {file.resolve(): file for folder in folders for file in record_files(folder, left_out.unreadable)}
    found: list[Run] = []
    asked: dict[str, str] = {}
    for file in files.values():
        run, question = _read(file, left_out)
        if run is not None:
            found.append(run)
            asked.setdefault(run.experiment, question)
    if not found:
        where = ", ".join(map(str, folders)) or "no folder"
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


def _score(row: dict[str, Any], group: str, metric: str) -> float | None:
    return row[group][metric] if row["finite"] else None


def _natural(text: str) -> list[tuple[int, int, str]]:
    """For sorting: 50 comes before 100."""
    parts = re.split(r"(\d+)", text)
    return [(0, int(part), "") if part.isdecimal() and len(part) < 20 else (1, 0, part) for part in parts]


def finite(values: Iterable[float | None]) -> list[float]:
    """The numbers among ``values``."""
    return [value for value in values if value is not None and math.isfinite(value)]
