"""The quality table as a person reads it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .report import ParticleQuality, QualityTable

__all__ = ["markdown_of"]

MISSING = "–"


def markdown_of(table: QualityTable) -> str:
    """A headline per way of choosing, then a row per particle, then what to compare with."""
    lines = [
        _choice("Chosen blind (by residual)", table.rows[table.blind]),
        _choice("Chosen by oracle (best of N, looking at the truth)", table.rows[table.oracle]),
        "",
        *_rows(table),
        "",
        f"A flat image of the mean colour: {_dB(table.flat_psnr)}. "
        f"Noise floor: residual {table.noise_floor:.4g}; the truth's own residual: {table.truth_residual:.4g}.",
    ]
    if table.oracle != table.oracle_raw:
        lines.append(f"Without alignment the oracle would choose particle {table.rows[table.oracle_raw].particle}.")
    coloured = [row for row in table.rows if row.aligned_per_channel.psnr > row.aligned.psnr + 0.01]
    if coloured:
        gains = ", ".join(
            f"particle {row.particle}: {_dB(row.aligned_per_channel.psnr)} ({row.symmetry_per_channel})"
            for row in coloured
        )
        lines.append(f"Aligned channel by channel, {gains}.")
    failed = [str(row.particle) for row in table.rows if not row.finite]
    if failed:
        lines.append(f"Not finite, so not scored: particle {', '.join(failed)}.")
    return "\n".join([*lines, *table.notes])


def _choice(words: str, row: ParticleQuality) -> str:
    verdict = "reconstructed" if row.success else "not reconstructed"
    return f"**{words}:** particle {row.particle}, {_dB(row.aligned.psnr)} aligned, {_dB(row.raw.psnr)} raw: {verdict}."


def _rows(table: QualityTable) -> list[str]:
    with_lpips = any(row.aligned.lpips is not None for row in table.rows)
    header = ["particle", "PSNR raw", "PSNR aligned", "SSIM raw", "SSIM aligned"]
    header += ["LPIPS raw", "LPIPS aligned"] if with_lpips else []
    header += ["residual / floor", "aligned by", "chosen"]
    lines = [_line(header), _line(["---"] * len(header))]
    for place, row in enumerate(table.rows):
        chosen = [word for word, k in (("blind", table.blind), ("oracle", table.oracle)) if k == place]
        cells = [str(row.particle), _dB(row.raw.psnr), _dB(row.aligned.psnr)]
        cells += [_number(row.raw.ssim), _number(row.aligned.ssim)]
        cells += [_number(row.raw.lpips), _number(row.aligned.lpips)] if with_lpips else []
        cells += [_number(row.residual_ratio), row.symmetry, ", ".join(chosen)]
        lines.append(_line(cells))
    return lines


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _dB(value: float) -> str:
    if math.isnan(value):
        return MISSING
    return "\u221e dB" if math.isinf(value) else f"{value:.2f} dB"


def _number(value: float | None) -> str:
    return MISSING if value is None or math.isnan(value) else f"{value:.3f}"
