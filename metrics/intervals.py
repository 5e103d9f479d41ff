r"""How sure a success rate is: the score interval (Wilson, J. Am. Stat. Assoc. 22(158), 1927).

Unlike :math:`p \pm 1.96\sqrt{p(1-p)/n}` it stays inside [0, 1] and is honest at 0 of n and n of n.
"""

from __future__ import annotations

import math
from statistics import NormalDist

__all__ = ["wilson_interval"]


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval (low, high) of the probability behind ``successes`` out of ``n``; (0, 1) when n is 0.

    Raises:
        ValueError: counts that cannot be.

    >>> low, high = wilson_interval(9, 10)
    >>> round(low, 3), round(high, 3)
    (0.596, 0.982)
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes out of {n} cannot be; 0 <= successes <= n must hold.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it must lie between 0 and 1, usually 0.95.")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = successes / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # At the ends the two terms are equal, and rounding must not leave a bound of -1e-17.
    return (0.0 if successes == 0 else middle - half), (1.0 if successes == n else middle + half)
