"""What a guider notes while it samples, for the plot and the table that are shown afterwards."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["GuidanceRecord"]


@dataclass
class GuidanceRecord:
    """One row per call of the model.

    The node that makes a guider also hands on its record; sampling fills it. It holds the latest run only.

    title: of the plot.
    quantities: names of what is noted, and what each means, in ASCII: the plot's font has few other signs.
    rows: of each call the sigma and, per quantity, one value per item of the batch (or one for the whole batch).
    """

    title: str
    quantities: Mapping[str, str]
    rows: list[dict[str, object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        wrong = next((text for text in (self.title, *self.quantities.values()) if not text.isascii()), None)
        if wrong is not None:
            raise ValueError(f"{wrong!r} cannot be drawn; write it in ASCII.")

    def clear(self) -> None:
        """Forget the run before; a new one begins."""
        self.rows.clear()

    def add(self, sigma: float, **values: list[float | None]) -> None:
        """Note one call of the model. A quantity that could not be measured is left out, or None.

        Raises:
            ValueError: a quantity without a meaning.
        """
        unknown = values.keys() - self.quantities.keys()
        if unknown:
            raise ValueError(f"{sorted(unknown)[0]!r} is not a quantity of the record {self.title!r}.")
        self.rows.append({"sigma": sigma, **values})

    def series(self, quantity: str) -> list[list[float]]:
        """Per item of the batch, its values call by call; NaN where there is none."""
        columns = [row.get(quantity) or [] for row in self.rows]
        items = max((len(values) for values in columns), default=0)
        return [[_number(values[k]) if k < len(values) else math.nan for values in columns] for k in range(items)]

    def to_csv(self) -> str:
        """Call, sigma, and each quantity of each item, with a line of names; ready for a spreadsheet."""
        tracks = {name: self.series(name) for name in self.quantities}
        names = [f"{name}_{k}" if len(items) > 1 else name for name, items in tracks.items() for k in range(len(items))]
        columns = [values for items in tracks.values() for values in items]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["call", "sigma", *names])
        for call, row in enumerate(self.rows):
            cells = ["" if math.isnan(values[call]) else f"{values[call]:.6g}" for values in columns]
            writer.writerow([call, f"{row['sigma']:.6g}", *cells])
        return text.getvalue()


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
