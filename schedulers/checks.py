"""What every schedule asks of its input, in one sentence each."""

from __future__ import annotations

import math

import torch

__all__ = ["check_range", "check_steps", "finish"]


def check_steps(n: int) -> None:
    """Raise a ``ValueError`` unless there is at least one step."""
    if n < 1:
        raise ValueError(f"steps is {n}; a schedule needs at least 1.")


def check_range(sigma_min: float, sigma_max: float, may_be_infinite: bool = False) -> None:
    """Raise a ``ValueError`` unless 0 < sigma_min < sigma_max (< infinity, unless ``may_be_infinite``)."""
    if not 0 < sigma_min < sigma_max:
        raise ValueError(f"sigma_min is {sigma_min:g} and sigma_max {sigma_max:g}; choose 0 < sigma_min < sigma_max.")
    if math.isinf(sigma_max) and not may_be_infinite:
        raise ValueError("sigma_max is infinite; start below pure noise, for a flow model at a sigma below 1.")


def finish(levels: torch.Tensor, sigma_max: float, sigma_min: float, end_at_zero: bool = True) -> torch.Tensor:
    """float64 levels as a float32 schedule whose ends are exact, with the clean level after them if wanted."""
    if len(levels) > 1:
        levels[-1] = sigma_min
    levels[0] = sigma_max
    if end_at_zero:
        levels = torch.cat([levels, levels.new_zeros(1)])
    return levels.float()
