"""Read what runs left on disk: any number of folders with metrics.json files, and what each run says of itself.

A file that cannot be read, a run that did not finish and an image that failed are no reason to read nothing: they are
named, and the rest is counted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from ..posterior.metrics_file import load_metrics

__all__ = ["Run", "Runs", "load_runs", "record_files"]

METRICS = ("psnr", "ssim", "lpips")
#: The bits of a quality table that choose one row of it.
CHOICES = ("blind", "oracle", "oracle_raw")


@dataclass(frozen=True)
class Run:
    """One image of one experiment.

    experiment, image: their names. folder: where it lies. metrics: the file's content.
    """

    experiment: str
    image: str
    folder: Path
    metrics: dict[str, Any]

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
        return self.rows[self.table[choice]]

    def score(self, metric: str, choice: str, group: str = "aligned") -> float | None:
        """PSNR in dB, SSIM or LPIPS of the chosen particle, "aligned" or "raw"; None when it is not known.

        choice: one of ``CHOICES``, or "mean" or "std" over the particles.
        """
        if choice in CHOICES:
            return self.chosen(choice)[group][metric]
        values = [row[group][metric] for row in self.rows if row[group][metric] is not None]
        if not values:
            return None
        return fmean(values) if choice == "mean" else pstdev(values)

    def success(self, choice: str = "blind") -> bool:
        """Whether the chosen particle is a reconstruction: more than 20 dB aligned and 5 dB above a flat image."""
        return bool(self.chosen(choice)["success"])

    @property
    def coverage(self) -> dict[str, int]:
        """How many particles ended as the picture ("0°"), as its twin ("180°"), and as "neither"."""
        counts = {"0°": 0, "180°": 0, "neither": 0}
        for row in self.rows:
            turned = str(row["symmetry"]).startswith("rot180")
            counts["neither" if not row["success"] else "180°" if turned else "0°"] += 1
        return counts

    @property
    def seconds(self) -> float:
        return float(self.metrics["wall_seconds"])

    def calls(self, kind: str) -> int:
        """ "denoiser", "decoder_forward" or "decoder_backward", counted per particle."""
        return int(self.metrics["calls"][kind])

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
    """runs: in the order of experiment and image. questions: by experiment. problems: one sentence each."""

    runs: tuple[Run, ...]
    questions: dict[str, str]
    problems: tuple[str, ...]

    @property
    def experiments(self) -> list[str]:
        return list(dict.fromkeys(run.experiment for run in self.runs))

    def of(self, experiment: str) -> list[Run]:
        return [run for run in self.runs if run.experiment == experiment]


def load_runs(folders: Iterable[str | Path]) -> Runs:
    """Every finished run with a quality table in or below ``folders``.

    An experiment is what an experiment.json names; elsewhere it is the name of the folder a file lies in.

    Raises:
        ValueError: there is no such folder, or not one run in any of them.
    """
    folders = [Path(folder) for folder in folders]
    for folder in folders:
        if not folder.exists():
            raise ValueError(f"there is no folder {folder}; run an experiment first, or check the path.")
    runs: dict[Path, Run] = {}
    questions: dict[str, str] = {}
    problems: list[str] = []
    for file in dict.fromkeys(file for folder in folders for file in record_files(folder)):
        if file.name == "error.txt":
            problems.append(
                f"{_short(file.parent)} failed: {file.read_text(encoding='utf-8', errors='replace').strip()}"
            )
            continue
        try:
            metrics = load_metrics(file)
        except (OSError, ValueError) as error:
            problems.append(str(error))
            continue
        if metrics["status"] != "finished" or not metrics["quality"]:
            state = "has no quality table" if metrics["status"] == "finished" else f"is {metrics['status']}"
            problems.append(f"{_short(file)} {state}, so it is left out.")
            continue
        experiment, image, question = _names(file)
        questions.setdefault(experiment, question)
        runs[file.resolve()] = Run(experiment, image, file.parent, metrics)
    if not runs:
        where = ", ".join(map(str, folders)) or "no folder"
        found = f" ({problems[0]})" if problems else ""
        raise ValueError(f"no finished run was found in {where}{found}; run an experiment first, or check the path.")
    ordered = sorted(runs.values(), key=lambda run: (run.experiment, run.image))
    return Runs(tuple(ordered), questions, tuple(problems))


def record_files(folder: Path) -> Iterator[Path]:
    """Records and notes of failure, in a stable order; hidden folders are work in progress."""
    if folder.is_file():
        yield folder
        return
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.is_file() and (path.name == "error.txt" or _is_record(path)):
            yield path


def _is_record(path: Path) -> bool:
    """Whether a file is, or was meant to be, a record: metrics.json, or JSON whose beginning names the schema."""
    if path.name == "metrics.json":
        return True
    if path.suffix != ".json":
        return False
    with path.open("rb") as file:
        return b'"sampler-lab/metrics/' in file.read(200)


def _names(file: Path) -> tuple[str, str, str]:
    """Experiment, image and question of a record."""
    about = file.parent.parent / "experiment.json"
    if about.is_file():
        try:
            facts = json.loads(about.read_text(encoding="utf-8"))
            return str(facts["name"]), file.parent.name, str(facts.get("question", ""))
        except (OSError, ValueError, KeyError, TypeError):
            pass  # the folder's name will do
    if file.name == "metrics.json":
        return file.parent.parent.name, file.parent.name, ""
    return file.parent.name, file.stem, ""


def _short(path: Path) -> str:
    return "/".join(path.parts[-3:])


def finite(values: Iterable[float | None]) -> list[float]:
    """The numbers among ``values``."""
    return [value for value in values if value is not None and math.isfinite(value)]
