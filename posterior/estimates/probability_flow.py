r"""The probability-flow ODE, from a noisy latent to a clean one.

In VE coordinates :math:`dx/d\sigma = d = (x - D(x;\sigma))/\sigma` (Karras et al., arXiv 2206.00364). DAPS solves it
coarsely from each annealing level to estimate :math:`\hat x_0` (Zhang et al., arXiv 2407.01521): a sample that the
prior calls clean, rather than the posterior mean that a single denoiser call gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar

import torch

from ...diffusion.options import option
from ...diffusion.parameterization import Parameterization
from ..interaction.repulsion import Repulsion, RepulsionAtLevel
from ..level import LARGEST_SPACING_SIGMA, Level
from ..part import Estimate
from ..particles import Particles

__all__ = ["ProbabilityFlow", "probability_flow"]

#: ``D'(D, x, sigma)``: a change of the denoiser's output that adds a term to the score.
Correction = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class ProbabilityFlow(Estimate):
    """x0_hat by a few Euler steps on the ODE; with ``repulsion`` the particles push each other apart on the way."""

    name: ClassVar[str] = "probability_flow"
    title: ClassVar[str] = "Probability Flow"
    about: ClassVar[str] = "The clean estimate of every noise level, by a few steps of the model's own ODE."
    aliases: ClassVar[tuple[str, ...]] = ("ODE", "denoise", "x0", "Tweedie", "DAPS")
    reference: ClassVar[str] = "arXiv 2206.00364"

    steps: int = option(
        2,
        "Model calls per annealing step for the clean estimate (published: 2 for latents, 5 for pixels).",
        minimum=1,
        maximum=1000,
    )
    sigma_min: float = option(
        0.001,
        "Noise level at which the clean estimate's path ends (published: 0.001 for latents, 0.01 for pixels). For flow "
        "models as well in the scale of the others: sigma/(1 - sigma).",
        above=0.0,
        maximum=10.0,
        step=0.001,
    )
    rho: float = option(7.0, "Exponent of the levels' spacing; larger puts more of them at small noise.", above=0.0)
    repulsion: Repulsion | None = None

    def repelled(self, repulsion: Repulsion) -> ProbabilityFlow:
        return replace(self, repulsion=repulsion)

    def levels(self, sigma_ve: float) -> list[float]:
        """The ``steps`` + 1 VE levels from ``sigma_ve`` down to ``sigma_min``, evenly spaced in sigma^(1/rho)."""
        top = min(sigma_ve, LARGEST_SPACING_SIGMA) ** (1 / self.rho)
        bottom = self.sigma_min ** (1 / self.rho)
        inner = [(top + k / self.steps * (bottom - top)) ** self.rho for k in range(1, self.steps)]
        return [sigma_ve, *inner, self.sigma_min]

    def __call__(self, particles: Particles, level: Level) -> torch.Tensor:
        """z0_hat ``[N, ...]``."""
        push = RepulsionAtLevel(self.repulsion, particles, level, self.name)
        z0_hat = probability_flow(
            particles.denoise, particles.x, level.sigma, level.parameterization, self, push.correction
        )
        level.facts |= {"repulsion": push.strength, "repulsion_norm": push.norms}
        if particles.mask is not None:
            # The host's inpainting wrapper makes the denoiser return the given part exactly; the ODE, which ends at
            # sigma_min, would leave that much noise on it.
            z0_hat = torch.lerp(particles.denoise(particles.x, level.sigma), z0_hat, particles.mask)
        return z0_hat


def probability_flow(
    denoise: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    x: torch.Tensor,
    sigma: torch.Tensor,
    parameterization: Parameterization,
    options: ProbabilityFlow,
    correct: Correction | None = None,
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
