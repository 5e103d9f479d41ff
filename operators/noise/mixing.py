"""The noise floor when the truth is unknown.

It depends on amplitudes that nobody has. But it is a sum over pixels, so only the *distribution* of amplitudes matters,
and that can be estimated from the distribution of y: the mixing distribution of largest likelihood (Kiefer & Wolfowitz
1956), found by expectation maximisation over a grid.
"""

from __future__ import annotations

import torch

__all__ = ["mixing_weights"]


def mixing_weights(likelihood: torch.Tensor, counts: torch.Tensor, iterations: int = 1000) -> torch.Tensor:
    """The weights w >= 0, sum 1, that maximise the likelihood of ``counts`` under the mixture ``likelihood @ w``.

    Args:
        likelihood: ``[cells, components]``, the probability of each cell under each component.
        counts: ``[cells]``, how often each cell was observed.
        iterations: of expectation maximisation; each raises the likelihood.
    """
    share = counts.to(likelihood) / counts.sum()
    weights = torch.full_like(likelihood[0], 1 / likelihood.shape[1])
    for _ in range(iterations):
        mixture = likelihood @ weights
        weights = weights * (likelihood.T @ torch.where(share > 0, share / mixture.clamp_min(1e-300), 0.0))
    return weights / weights.sum()
