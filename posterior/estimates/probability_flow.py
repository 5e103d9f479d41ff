r"""The probability-flow ODE, from a noisy latent to a clean one.

In VE coordinates :math:`dx/d\sigma = d = (x - D(x;\sigma))/\sigma` (Karras et al., arXiv 2206.00364). DAPS solves it
coarsely from each annealing level to estimate :math:`\hat x_0` (Zhang et al., arXiv 2407.01521): a sample that the
prior calls clean, rather than the posterior mean that a single denoiser call gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch

from ...diffusion.parameterization import Parameterization

__all__ = ["LARGEST_SPACING_SIGMA", "ODEOptions", "probability_flow"]

#: A flow's first level has sigma_ve = infinity; the levels below it are spaced as if it were this.
LARGEST_SPACING_SIGMA = 80.0


@dataclass(frozen=True)
class ODEOptions:
    """How :math:`\\hat x_0` is estimated.

    steps: denoiser calls per annealing step (published: 2 for latents, 5 for pixels).
    sigma_min: where the ODE stops, in VE units (0.001 for latents, 0.01 for pixels). The official code of DAPS keeps it
        here; it is the annealing's last level that it leaves out (``poly_rho``, ``drop_sigma_min``).
    rho: exponent of the polynomial spacing.
    """

    steps: int = 2
    sigma_min: float = 0.001
    rho: float = 7.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"ode_steps is {self.steps}; the estimate of x0 needs at least 1 denoiser call.")
        if not self.sigma_min > 0:
            raise ValueError(f"ode_sigma_min is {self.sigma_min}; it must be greater than 0.")
        if not 0 < self.rho < float("inf"):
            raise ValueError(f"ode rho is {self.rho}; it must be a number greater than 0 (usual: 7).")

    def levels(self, sigma_ve: float) -> list[float]:
        """The ``steps`` + 1 VE levels from ``sigma_ve`` down to ``sigma_min``, evenly spaced in sigma^(1/rho)."""
        top = min(sigma_ve, LARGEST_SPACING_SIGMA) ** (1 / self.rho)
        bottom = self.sigma_min ** (1 / self.rho)
        inner = [(top + k / self.steps * (bottom - top)) ** self.rho for k in range(1, self.steps)]
        return [sigma_ve, *inner, self.sigma_min]


def probability_flow(
    denoise: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    x: torch.Tensor,
    sigma: torch.Tensor,
    parameterization: Parameterization,
    options: ODEOptions,
    correct: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
) -> torch.Tensor:
    """Follow the ODE by Euler steps from ``x`` at ``sigma`` and return the clean estimate :math:`\\hat x_0`.

    Args:
        denoise: ``D(x, sigma)``; ``sigma`` is a 0-dimensional tensor in the model's own units.
        x: noisy latents ``[N, ...]`` in the model's own coordinates.
        sigma: their level, 0-dimensional, in the model's own units.
        parameterization: VE or CONST.
        options: number of steps and end of the ODE.
        correct: ``D'(D, x, sigma)``, a change of the denoiser's output that adds a term to the score (repulsion).

    Returns:
        ``[N, ...]``, divided by alpha, so that it is a clean latent for either parameterization.
    """
    start = parameterization.sigma_ve(float(sigma))  # a Python number: Apple's GPUs have no float64
    if start <= options.sigma_min:
        return denoise(x, sigma)
    levels = [sigma] + [parameterization.sigma_from_ve(sigma.new_tensor(s)) for s in options.levels(start)[1:]]
    for sigma, sigma_next in pairwise(levels):
        x0 = denoise(x, sigma)
        if correct is not None:
            x0 = correct(x0, x, sigma)
        # x' = alpha'·D + sigma'·eps with eps = (x - alpha·D)/sigma: Euler in VE coordinates for every
        # parameterization, and finite at a flow's sigma = 1, where alpha = 0 and eps = x.
        eps = (x - parameterization.alpha(sigma) * x0) / sigma
        x = parameterization.alpha(sigma_next) * x0 + sigma_next * eps
    return x / parameterization.alpha(sigma_next)
