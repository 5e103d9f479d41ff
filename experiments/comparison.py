r"""Differences between experiments, image by image.

Images differ by 15 dB and experiments by fractions of one, so means of different images say nothing. On the images that
both have, the differences :math:`d_k` have a mean with the interval :math:`\bar d \pm t_{0.975, n-1}\, s/\sqrt n`
(Student), and a sign test that asks only how often one was better.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from .runs import Run

__all__ = ["Difference", "paired_difference", "sign_test"]


@dataclass(frozen=True)
class Difference:
    """B - A over ``n`` images.

    mean: with its 95 % interval low to high (None below 2 images). larger, smaller: how often B was. p: of the sign
    test, two-sided.
    """

    n: int
    mean: float
    low: float | None
    high: float | None
    larger: int
    smaller: int
    p: float


def paired_difference(
    a: Sequence[Run], b: Sequence[Run], value: Callable[[Run], float | None], tie: float = 0.0
) -> Difference | None:
    """value(B) - value(A) over the images of both; None when they share none.

    tie: differences up to this size count for neither side.
    """
    first = {run.image: value(run) for run in a}
    pairs = [(first.get(run.image), value(run)) for run in b]
    d = [after - before for before, after in pairs if before is not None and after is not None]
    if not d:
        return None
    n, mean = len(d), fmean(d)
    larger, smaller = sum(x > tie for x in d), sum(x < -tie for x in d)
    if n < 2:
        return Difference(n, mean, None, None, larger, smaller, 1.0)
    from scipy.stats import t

    half = float(t.ppf(0.975, n - 1)) * stdev(d) / math.sqrt(n)
    return Difference(n, mean, mean - half, mean + half, larger, smaller, sign_test(larger, smaller))


def sign_test(larger: int, smaller: int) -> float:
    """The two-sided probability of a split at least as uneven, if both sides were equally likely; ties are left out.

    >>> round(sign_test(9, 1), 4)
    0.0215
    """
    n, k = larger + smaller, min(larger, smaller)
    return min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n) if n else 1.0
