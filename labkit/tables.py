"""The quality table of a ``metrics.json`` as lines of text, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["quality_lines", "text_table"]

Json = dict[str, Any]


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns as wide as they need, a rule below the head; the first column flush left, the others right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, ["-" * width for width in widths], *rows):
        first, *others = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        yield "  ".join(cells).rstrip()


def quality_lines(quality: Json) -> Iterator[str]:
    """One row per particle, who chose it, and what a flat image would score.

    quality: one entry of ``metrics.json``'s ``quality`` (see ``metrics/report.py``); a missing number shows as –.
    """
    head = ("particle", "residual / floor", "PSNR", "aligned", "SSIM", "LPIPS", "symmetry", "chosen")
    rows = []
    for row in quality["particles"]:
        aligned = row["aligned"]
        choice = [name for name in ("blind", "oracle") if quality.get(name) == row["particle"]]
        rows.append(
            (
                str(row["particle"]),
                _number(row.get("residual_ratio"), 2),
                _number(row["raw"]["psnr"], 1),
                _number(aligned["psnr"], 1),
                _number(aligned["ssim"], 2),
                _number(aligned["lpips"], 2),
                str(row.get("symmetry", "")),
                ", ".join(choice),
            )
        )
    yield from text_table(head, rows)
    yield ""
    yield f"PSNR in dB; a flat image of the mean colour scores {_number(quality.get('flat_psnr'), 1)} dB."
    by = "by the run itself" if quality.get("blind_by") == "run" else "by the residual alone"
    yield f"blind: chosen {by}. oracle: chosen with the truth, which nobody has for real data."
    yield from quality.get("notes", [])


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
