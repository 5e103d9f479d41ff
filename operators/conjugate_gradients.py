"""Conjugate gradients (Hestenes & Stiefel 1952): A z = b for symmetric positive definite A, each row by itself."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..diffusion.tensors import per_row

__all__ = ["conjugate_gradients"]


def conjugate_gradients(
    apply: Callable[[torch.Tensor], torch.Tensor],
    b: torch.Tensor,
    start: torch.Tensor,
    iterations: int = 200,
    tolerance: float = 1e-6,
) -> torch.Tensor:
    """The z ``[N, ...]`` with ``apply(z) = b``, from ``start`` on.

    A row ends when its residual is below ``tolerance`` times its b, or is not finite: it touches no other row.

    Args:
        apply: the linear map, row by row.
        iterations: at most; as many as A has different eigenvalues are enough, but for rounding.
    """
    z, residual = start, b - apply(start)
    direction, power = residual, _dot(residual, residual)
    enough = tolerance**2 * _dot(b, b)
    for _ in range(iterations):
        active = power > enough
        if not bool(active.any()):
            break
        applied = apply(direction)
        step = torch.where(active, power / _dot(direction, applied), torch.zeros_like(power))
        z = torch.where(per_row(active, z), z + per_row(step, z) * direction, z)
        residual = residual - per_row(step, z) * applied
        last, power = power, _dot(residual, residual)
        direction = residual + per_row(power / last, z) * direction
    return z


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a * b).flatten(1).sum(1)
