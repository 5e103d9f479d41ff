"""Small helpers for tensors ``[N, ...]`` whose rows are particles."""

from __future__ import annotations

import torch

__all__ = ["finite_rows", "per_row", "rms"]


def per_row(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """``values`` ``[N]``, shaped to broadcast against ``like`` ``[N, ...]``."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


def rms(x: torch.Tensor) -> torch.Tensor:
    """Root mean square of every row of ``x`` ``[N, ...]``, ``[N]``."""
    return x.flatten(1).square().mean(1).sqrt()


def finite_rows(x: torch.Tensor) -> torch.Tensor:
    """``[N]`` booleans: rows of ``x`` ``[N, ...]`` without NaN or infinity."""
    return x.flatten(1).isfinite().all(1)
