"""What a guider notes while it samples, for the plot and the table that are shown afterwards."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["GuidanceRecord", "attach", "attached"]

#: Attribute of a tensor that holds the records of the run that made it.
ATTRIBUTE = "sampler_lab_guidance"


@dataclass(eq=False)
class GuidanceRecord:
    """One row per call of the model.

    The node that makes a guider also hands on its record; sampling fills it. It holds the latest run only. What one run
    noted stays with the latents that it made, see :func:`attach`.

    title: of the plot.
    quantities: names of what is noted, and what each means, in ASCII: the plot's font has few other signs.
    rows: of each call the sigma and, per quantity, one value per item of the batch (or one for the whole batch).
    handle: the guider's record, of which this is one run; None for that one itself.
    """

    title: str
    quantities: Mapping[str, str]
    rows: list[dict[str, Any]] = field(default_factory=list)
    handle: GuidanceRecord | None = None

    def __post_init__(self) -> None:
        wrong = next((text for text in (self.title, *self.quantities.values()) if not text.isascii()), None)
        if wrong is not None:
            raise ValueError(f"{wrong!r} cannot be drawn; write it in ASCII.")

    def begin(self) -> None:
        """A new run begins. The rows of the run before are forgotten here, and kept by :meth:`of_this_run`."""
        self.rows = []

    def of_this_run(self) -> GuidanceRecord:
        """The run that was begun last, for itself: a later one does not change it."""
        return replace(self, handle=self)

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


def attach(samples: Any, records: Iterable[GuidanceRecord]) -> None:
    """Let the result of a run carry what was noted of it.

    A node of the host hands a tensor on as the object that it is, and its cache keeps that object, so this holds when a
    graph runs again in part, when two samplers share a guider, and when one runs twice. A node that computes other
    latents from these hands on a tensor that carries nothing.

    Args:
        samples: latents ``[N, ...]``, or the host's nested tensor of several.
        records: of the guider that was sampled with.
    """
    setattr(_first_tensor(samples), ATTRIBUTE, tuple(record.of_this_run() for record in records))


def attached(samples: Any) -> tuple[GuidanceRecord, ...]:
    """What :func:`attach` gave these latents, or nothing."""
    return getattr(_first_tensor(samples), ATTRIBUTE, ())


def _first_tensor(samples: Any) -> Any:
    return samples.unbind()[0] if samples.is_nested else samples


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
