"""The quality table of a run: its rows, who is chosen, and how it reads as plain values and in Markdown."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch

from .markdown import markdown_table

__all__ = ["ParticleQuality", "QualityTable", "Scores"]

MISSING = "–"
BLIND = {"residual": "Chosen blind (by residual)", "run": "Chosen blind (by the run)"}


@dataclass(frozen=True)
class Scores:
    """One image against the truth. NaN for a particle that holds NaN; None where a metric could not be computed."""

    psnr: float
    ssim: float | None
    lpips: float | None


@dataclass(frozen=True)
class ParticleQuality:
    """One row.

    particle: its name in the run. residual_ratio: the residual over the noise floor; None when there is no noise.
    """

    particle: int
    finite: bool
    raw: Scores
    aligned: Scores
    symmetry: str
    aligned_per_channel: Scores
    symmetry_per_channel: str
    residual: float
    residual_ratio: float | None
    success: bool
    success_25: bool


@dataclass(frozen=True)
class QualityTable:
    """The rows, who is chosen, and the marks to compare with.

    oracle, oracle_raw: place in ``rows`` of the best aligned and of the best raw PSNR. blind: of the one chosen without
        the truth. (In the dictionary they are the particles' names, which do not change when rows are dropped.)
    blind_by: how that one was chosen: by its "residual", or by the "run" itself, which may know more than the residual.
    truth_residual: of the reference itself. notes: sentences about what could not be computed.
    aligned_images: ``[N, 3, H, W]`` in [0, 1], not part of the table's dictionary.
    """

    rows: tuple[ParticleQuality, ...]
    oracle: int
    oracle_raw: int
    blind: int
    flat_psnr: float
    noise_floor: float
    truth_residual: float
    notes: tuple[str, ...]
    aligned_images: torch.Tensor
    blind_by: str = "residual"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for metrics.json: numbers that are not finite are None (an infinite PSNR too).

        ``oracle``, ``oracle_raw`` and ``blind`` are names of particles.
        """
        table = {key: self.rows[getattr(self, key)].particle for key in ("oracle", "oracle_raw", "blind")}
        table |= {key: getattr(self, key) for key in ("blind_by", "flat_psnr", "noise_floor", "truth_residual")}
        return _finite({**table, "notes": list(self.notes), "particles": [asdict(row) for row in self.rows]})

    def to_markdown(self) -> str:
        """A headline per way of choosing, then a row per particle, then what to compare with."""
        lines = [
            _choice(BLIND[self.blind_by], self.rows[self.blind]),
            _choice("Chosen by oracle (best of N, looking at the truth)", self.rows[self.oracle]),
            "",
            markdown_table(*_cells(self)),
            "",
            f"A flat image of the mean colour: {_dB(self.flat_psnr)}. "
            f"Noise floor: residual {self.noise_floor:.4g}; the truth's own residual: {self.truth_residual:.4g}.",
        ]
        if self.oracle != self.oracle_raw:
            lines.append(f"Without alignment the oracle would choose particle {self.rows[self.oracle_raw].particle}.")
        coloured = [row for row in self.rows if row.aligned_per_channel.psnr > row.aligned.psnr + 0.01]
        if coloured:
            gains = ", ".join(
                f"particle {row.particle}: {_dB(row.aligned_per_channel.psnr)} ({row.symmetry_per_channel})"
                for row in coloured
            )
            lines.append(f"Aligned channel by channel, {gains}.")
        failed = [str(row.particle) for row in self.rows if not row.finite]
        if failed:
            lines.append(f"Not finite, so not scored: particle {', '.join(failed)}.")
        return "\n".join([*lines, *self.notes])


def _choice(words: str, row: ParticleQuality) -> str:
    verdict = "reconstructed" if row.success else "not reconstructed"
    return f"**{words}:** particle {row.particle}, {_dB(row.aligned.psnr)} aligned, {_dB(row.raw.psnr)} raw: {verdict}."


def _cells(table: QualityTable) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table itself."""
    with_lpips = any(row.aligned.lpips is not None for row in table.rows)
    header = ["particle", "PSNR raw", "PSNR aligned", "SSIM raw", "SSIM aligned"]
    header += ["LPIPS raw", "LPIPS aligned"] if with_lpips else []
    header += ["residual / floor", "aligned by", "chosen"]
    rows = []
    for place, row in enumerate(table.rows):
        chosen = [word for word, k in (("blind", table.blind), ("oracle", table.oracle)) if k == place]
        cells = [str(row.particle), _dB(row.raw.psnr), _dB(row.aligned.psnr)]
        cells += [_number(row.raw.ssim), _number(row.aligned.ssim)]
        cells += [_number(row.raw.lpips), _number(row.aligned.lpips)] if with_lpips else []
        cells += [_number(row.residual_ratio), row.symmetry, ", ".join(chosen)]
        rows.append(cells)
    return header, rows


def _dB(value: float) -> str:
    if math.isnan(value):
        return MISSING
    return "\u221e dB" if math.isinf(value) else f"{value:.2f} dB"


def _number(value: float | None) -> str:
    return MISSING if value is None or math.isnan(value) else f"{value:.3f}"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
