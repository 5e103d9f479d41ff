r"""Which particles go on: three rules over their residuals :math:`L_i = \|A(x_i) - y\|^2`.

* residual: the K smallest residuals.
* diverse: the smallest residual first; then, by residual and as long as it is within the tolerance, every *other
  picture*; then every *other orientation* of a kept one; then what is left. Of near duplicates the better one stays.
* resample: K draws with weights :math:`e^{-\beta L_i}`, beta such that the effective sample size
  :math:`(\sum w)^2/\sum w^2` is a given share of N. At beta = 1/(2 sigma_y²) the smallest residual would take all: in
  the middle of a run residuals differ by thousands of nats. Drawn systematically, so good particles come as often as
  their weights say; a particle drawn twice goes on as two, each with its own noise (sequential Monte Carlo).

Rules work on rows: a rule is given the finite ones and says which of them go on.
"""

from __future__ import annotations

import torch

__all__ = ["best", "diverse", "resample"]


def best(losses: list[float], keep: int) -> list[int]:
    """The ``keep`` rows with the smallest of ``losses``, the smallest first."""
    return sorted(range(len(losses)), key=losses.__getitem__)[:keep]


def diverse(
    losses: list[float], keep: int, distances: tuple[torch.Tensor, torch.Tensor], near: float, tolerance: float
) -> list[int]:
    """Up to ``keep`` rows: the best, then other pictures, then other orientations, then whoever is left.

    Args:
        losses: of every row, finite.
        keep: how many go on.
        distances: of the pictures, ``[N, N]`` each: modulo the measurement's symmetries, and plain.
        near: pictures not farther from each other than this are duplicates.
        tolerance: other pictures and orientations may be worse than the best by this share.
    """
    order = best(losses, len(losses))
    rows = order[:1]
    for distance in distances:
        for k in order:
            fits = k not in rows and losses[k] <= (1 + tolerance) * losses[order[0]]
            if len(rows) < keep and fits and float(distance[k, rows].min()) > near:
                rows.append(k)
    return (rows + [k for k in order if k not in rows])[:keep]


def resample(losses: list[float], keep: int, effective: float, uniform: float) -> list[int]:
    """``keep`` rows by systematic resampling with tempered weights of an effective size of ``effective``.

    ``uniform``: the one random number that it takes, in [0, 1).
    """
    offset = torch.tensor(losses, dtype=torch.float64)
    weights = _tempered(offset - offset.min(), effective)
    points = (torch.arange(keep, dtype=torch.float64) + uniform) / keep
    return torch.searchsorted(weights.cumsum(0), points).clamp_max(len(losses) - 1).tolist()


def _tempered(offset: torch.Tensor, effective: float) -> torch.Tensor:
    """exp(-beta · offset), normalised, with beta such that the effective sample size is ``effective``."""

    def at(beta: float) -> torch.Tensor:
        return torch.softmax(-beta * offset, 0)

    def is_larger(beta: float) -> bool:
        return float(1 / at(beta).square().sum()) > max(effective, 1.0)

    scale = float(offset.max())
    if scale == 0:
        return at(0.0)
    low, high = 0.0, 1 / scale
    while is_larger(high) and high * scale < 1e12:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if is_larger(middle) else (low, middle)
    return at(low)
