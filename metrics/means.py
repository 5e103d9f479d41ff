"""Means in which nothing that failed goes missing unsaid.

A particle that became NaN has no PSNR. Leaving it out without a word makes the mean better the more particles fail;
counting it as 0 dB invents a number. So there is one rule, for every table and plot: the mean is over those that have a
finite number, and where some have none it says over how many of how many. Rates count the others as failed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

__all__ = ["MEANS_RULE", "Mean", "mean_of"]

#: For the caption of a table that has such means.
MEANS_RULE = (
    "A mean is over those that have a finite number; where some have none (a particle that became NaN, a metric that "
    "could not be computed), it says over how many of how many. Success counts a particle that is not finite as a "
    "failure."
)


@dataclass(frozen=True)
class Mean:
    """value: over ``n`` finite numbers of ``of``; None when there is none."""

    value: float | None
    n: int
    of: int

    def text(self, digits: int, missing: str = "–") -> str:
        """The mean, and over how many of how many where that is not all.

        >>> mean_of([30.0, None]).text(2), mean_of([30.0, 20.0]).text(2), mean_of([None]).text(2)
        ('30.00 (1 of 2)', '25.00', '–')
        """
        if self.value is None:
            return missing
        return f"{self.value:.{digits}f}" + ("" if self.n == self.of else f" ({self.n} of {self.of})")


def mean_of(values: Iterable[float | None]) -> Mean:
    """The mean of the finite ones among ``values``; None, NaN and infinity are counted, and not averaged."""
    values = list(values)
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return Mean(fmean(finite) if finite else None, len(finite), len(values))
