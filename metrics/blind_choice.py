"""Blind choice: which particle to return when nobody knows the truth.

By the residual ||A(x) - y||², which every particle has. Where residuals tie, as those of an image and of its twin under
a symmetry of the operator always do, the measurement has nothing more to say and a prior term decides, if there is one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

__all__ = ["blind_choice", "blind_order"]

#: Rows of the batch to minus log prior (up to a constant) of each, ``[K]``; smaller is likelier.
PriorTerm = Callable[[torch.Tensor], torch.Tensor]


def blind_order(residual: torch.Tensor, prior_term: PriorTerm | None = None, tolerance: float = 1e-6) -> list[int]:
    """All particles, the one to return first; those with a non-finite residual last.

    Args:
        residual: ``[N]``.
        prior_term: asked only about rows that tie; a non-finite answer loses. None keeps the order of the rows.
        tolerance: residuals tie within this share of the smallest of them. sqrt(2/m) (m valid measurements) makes all
            those tie that the noise cannot tell apart at the noise floor.

    Raises:
        ValueError: a residual that is not one number per particle, or a negative tolerance.
    """
    if residual.ndim != 1 or len(residual) == 0:
        raise ValueError(f"residual has shape {list(residual.shape)}; it must be one number per particle, [N].")
    if tolerance < 0:
        raise ValueError(f"tolerance is {tolerance}; it must be 0 or more.")
    values = residual.double().tolist()
    left = sorted((k for k in range(len(values)) if math.isfinite(values[k])), key=lambda k: values[k])
    order: list[int] = []
    while left:
        limit = values[left[0]] + tolerance * abs(values[left[0]])
        tied = sorted(k for k in left if values[k] <= limit)
        left = [k for k in left if values[k] > limit]
        if prior_term is not None and len(tied) > 1:
            terms = prior_term(torch.tensor(tied)).double().tolist()
            known = [term if math.isfinite(term) else math.inf for term in terms]
            tied = [k for _, k in sorted(zip(known, tied, strict=True))]
        order += tied
    return order + [k for k in range(len(values)) if not math.isfinite(values[k])]


def blind_choice(residual: torch.Tensor, prior_term: PriorTerm | None = None, tolerance: float = 1e-6) -> int:
    """The particle to return: the first of :func:`blind_order`. When every residual is non-finite it is particle 0."""
    return blind_order(residual, prior_term, tolerance)[0]
