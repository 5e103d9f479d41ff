"""One run as its record tells it: scores, calls, time, what happened at each step."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from ..metrics_file import row_of
from ..metrics_schema import CHOICES

__all__ = ["Run", "finite"]


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
        """The table's rows, one per particle."""
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
        scores = [_score(row, group, metric) for row in self.rows]
        known = [score for score in scores if score is not None]
        if len(known) < len(scores):
            return None
        return fmean(known) if choice == "mean" else pstdev(known)

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
        """ "denoiser", "decoder_forward", "decoder_backward" or "encoder", counted per particle."""
        return self.metrics["calls"].get(kind, 0) if self.was_recorded else None

    @property
    def peak_memory_bytes(self) -> int | None:
        """The largest of the phases."""
        known = [phase["peak_memory_bytes"] for phase in self.metrics["phases"] if phase["peak_memory_bytes"]]
        return max(known, default=None)

    def phase(self, name: str) -> dict[str, Any] | None:
        """Time, memory and calls of one phase ("explore", "prune", ...); None when the run had no such phase."""
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
        """Iterations of hard consistency, one number per particle and step."""
        return [n for step in self.metrics["steps"] for n in (step.get("polish") or {}).get("iterations", [])]

    @property
    def polish_accepted(self) -> list[bool]:
        """Whether the move was accepted, of every particle and step."""
        return [bool(a) for step in self.metrics["steps"] for a in (step.get("polish") or {}).get("accepted", [])]


def _score(row: dict[str, Any], group: str, metric: str) -> float | None:
    return row[group][metric] if row["finite"] else None


def finite(values: Iterable[float | None]) -> list[float]:
    """The numbers among ``values``."""
    return [value for value in values if value is not None and math.isfinite(value)]
