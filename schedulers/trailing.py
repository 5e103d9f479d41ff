"""Trailing spacing, for distilled models and few steps (Lin et al., arXiv 2305.08891, table 2).

A model distilled to few steps knows only some of its training levels, counted from pure noise. Trailing spacing begins
at the last training level and steps back evenly: of 1000 levels, four steps use 1000, 750, 500 and 250. Spacing that
begins at the first level would never show the model the pure noise it starts from.
"""

from __future__ import annotations

import torch

from .checks import check_steps

__all__ = ["trailing"]


def trailing(n: int, levels: torch.Tensor) -> torch.Tensor:
    """``n`` of the model's training levels, the largest first, then 0: ``[n + 1]``.

    Args:
        n: number of steps.
        levels: the model's own sigmas, one per training timestep, rising, ``[T]`` (``model_sampling.sigmas``).

    Raises:
        ValueError: n outside 1..T, or levels that do not rise.
    """
    check_steps(n)
    if levels.ndim != 1 or not bool((levels[1:] > levels[:-1]).all()):
        raise ValueError("levels must be the model's sigmas in rising order, one per training timestep.")
    if n > len(levels):
        raise ValueError(f"steps is {n}, but the model was trained on {len(levels)} levels; choose fewer.")
    steps_back = torch.arange(n, dtype=torch.float64) * len(levels) / n
    index = (len(levels) - steps_back).round().long() - 1
    return torch.cat([levels[index], levels.new_zeros(1)]).float()
