"""A table of a report as Markdown, CSV and LaTeX, and how the numbers in its cells are written."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from ...metrics.intervals import wilson_interval
from ...metrics.markdown import markdown_table
from ...metrics.means import mean_of
from .run import finite

__all__ = ["MISSING", "Table", "mean_cell", "median_cell", "megabytes", "number", "rate"]

MISSING = "–"
_LATEX = {"\\": r"\textbackslash{}", "–": "--", "\u2212": "$-$", "°": r"$^\circ$", "±": r"$\pm$", "\u03c3": r"$\sigma$"}
_LATEX |= {mark: f"\\{mark}" for mark in "&%$#_{}"}


@dataclass(frozen=True)
class Table:
    """name: of its files. title: above it. head and rows: text. notes: sentences below it."""

    name: str
    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default=())

    def to_markdown(self) -> str:
        """The table, and its notes as paragraphs below it."""
        return "\n\n".join([markdown_table(self.head, self.rows), *self.notes]) + "\n"

    def to_csv(self) -> str:
        """The table without its notes; a missing number is an empty cell."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(self.head)
        writer.writerows(["" if cell == MISSING else cell for cell in row] for row in self.rows)
        return stream.getvalue()

    def to_latex(self) -> str:
        """A tabular with booktabs' rules."""
        lines = [" & ".join(map(_latex, row)) + r" \\" for row in self.rows]
        columns = "l" + "r" * (len(self.head) - 1)
        head = " & ".join(map(_latex, self.head)) + r" \\"
        begin = [f"% {self.title}", f"\\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule"]
        return "\n".join([*begin, *lines, r"\bottomrule", r"\end{tabular}", ""])


def rate(successes: Sequence[bool]) -> str:
    """Successes of n with the 95 % interval."""
    low, high = wilson_interval(sum(successes), len(successes))
    return f"{sum(successes)}/{len(successes)} ({low:.0%}–{high:.0%})"


def mean_cell(values: Iterable[float | None], digits: int) -> str:
    """The mean of the finite ones, and of how many where that is not all."""
    return mean_of(values).text(digits, MISSING)


def median_cell(values: Iterable[float | None], digits: int) -> str:
    """The median of the finite ones."""
    known = finite(values)
    return f"{median(known):.{digits}f}" if known else MISSING


def megabytes(values: Iterable[float | None]) -> str:
    """The largest of so many bytes, in MB."""
    known = finite(values)
    return f"{max(known) / 1e6:.0f}" if known else MISSING


def number(value: float | None, digits: int) -> str:
    """One number, or that it is missing."""
    return MISSING if value is None else f"{value:.{digits}f}"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(mark, mark) for mark in text)
