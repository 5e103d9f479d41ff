r"""What the Markov chains on :math:`p(z_0 | z_t, y)` share, the middle of a DAPS step (Zhang et al., arXiv 2407.01521).

The target is a Gaussian around the prior's estimate times the likelihood:

.. math:: \log p(z) = -\|A(\mathrm{dec}(z)) - y\|^2/(2\tau^2) - \|z - \hat z_0\|^2/(2 r^2),

with :math:`r` the width that the prior is given at this noise level and :math:`\tau` the standard deviation of the
noise that is believed in: the measurement's own is honest. The published presets are far sharper, so what they draw is
spread less than the posterior. (The official code writes the likelihood as :math:`-\|\cdot\|^2/\tau'^2`; its
:math:`\tau'` is :math:`\sqrt 2\,\tau`, and presets that come from there are converted.)

No chain has an accept step. One that becomes NaN or infinite is set back to the estimate, and the others do not notice.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import TypeVar

import torch

from ...diffusion.options import option
from ...diffusion.tensors import finite_rows, per_row
from ..level import Level
from ..likelihood import Likelihood
from ..part import DataStep
from ..particles import Particles

__all__ = ["PRIOR_WIDTHS", "Chain", "Target", "prior_width"]

log = logging.getLogger(__name__)

PRIOR_WIDTHS = ("sigma", "capped")
ChainType = TypeVar("ChainType", bound="Chain")


def prior_width(sigma_ve: float, rule: str) -> float:
    """r at VE noise level ``sigma_ve``: "sigma", the level itself as published, or "capped", r² = sigma²/(1 + sigma²).

    The latter is the posterior variance under a unit Gaussian prior: sensible for standardised latents at large sigma.
    """
    if rule == "sigma":
        return sigma_ve
    return 1.0 if math.isinf(sigma_ve) else sigma_ve / math.sqrt(1 + sigma_ve**2)


@dataclass(frozen=True)
class Chain(DataStep):
    """The numbers of a chain; the defaults are no published setting (see ``samplers/latent_daps.py``)."""

    steps: int = option(
        50,
        "Chain steps per annealing step; each decodes every particle forwards and backwards, so time grows with it.",
        minimum=0,
        maximum=10_000,
    )
    step_size: float = option(
        4e-6,
        "Step size of the chain at the first annealing step. Too large: noise or NaN. Too small: the residual stays "
        "high.",
        above=0.0,
        step=1e-6,
    )
    step_size_end: float = option(
        0.01, "Share of the step size that is left at the last annealing step.", above=0.0, step=0.001
    )
    tau: float = option(
        0.01 / math.sqrt(2),
        "Standard deviation of the measurement's noise that the chain believes in. Smaller trusts the measurement "
        "more; the noise sigma of the measurement is honest. All presets are sharper.",
        above=0.0,
        step=0.001,
    )
    prior_width: str = option(
        "sigma",
        "How far the chain may move from the model's estimate. sigma: as published. capped: never more than the spread "
        "of a standardised latent, which keeps the early steps from over-fitting.",
        choices=PRIOR_WIDTHS,
    )
    gradient_clamp: float = option(
        0.0,
        "Bound on each entry of the measurement's gradient (the published code uses 1). 0: no bound.",
        minimum=0.0,
        step=0.1,
    )
    #: Multiplies the likelihood; at 0 the chain is skipped and the prior is sampled. The method's, so no widget here.
    weight: float = 1.0

    def check(self) -> None:
        super().check()
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"weight is {self.weight}; it must be 0 (the prior alone) or a positive number.")
        if self.tau**2 == 0:  # 1e-300 is 0 where it counts
            raise ValueError(f"tau is {self.tau}; it must be a number greater than 0 (published: 0.007).")

    @property
    def is_active(self) -> bool:
        """Whether there is anything to do; without a step or a weight the prior is sampled."""
        return self.steps > 0 and self.weight > 0

    @property
    def noise_sigma(self) -> float:
        """The standard deviation of the Gaussian noise that this likelihood, with its weight, is exact for."""
        return math.inf if self.weight == 0 else self.tau / math.sqrt(self.weight)

    def sharpness(self, noise_sigma: float) -> float:
        """How many times the log-likelihood of measurements with noise ``noise_sigma`` is counted: 1 is calibrated.

        >>> round(Chain(tau=0.01).sharpness(0.05))
        25
        """
        return (noise_sigma / self.noise_sigma) ** 2

    def weighted(self: ChainType, weight: float) -> ChainType:
        """The same with the measurement's weight multiplied."""
        return self if weight == 1.0 else replace(self, weight=self.weight * weight)

    def step_size_at(self, i: int, steps: int) -> float:
        """eta of annealing step ``i`` of ``steps``: linear from ``step_size`` down, as published."""
        return self.step_size * (1 + i / (steps + 1) * (self.step_size_end - 1))

    def target(self, z0_hat: torch.Tensor, level: Level) -> Target:
        """The density that the chain of this level samples."""
        return Target(z0_hat, prior_width(level.sigma_ve, self.prior_width), level.likelihood, self)


@dataclass
class Target:
    """p(z0 | z_t, y) of one level, known by its score.

    z0_hat: the prior's estimates ``[N, ...]``, the Gaussian's centres. width: r, its standard deviation.
    """

    z0_hat: torch.Tensor
    width: float
    likelihood: Likelihood
    options: Chain

    def score(self, z: torch.Tensor) -> torch.Tensor:
        """The gradient of log p at ``z`` ``[N, ...]``."""
        _, gradient = self.likelihood.residual_and_gradient(z)
        if self.options.gradient_clamp > 0:
            gradient = gradient.clamp(-self.options.gradient_clamp, self.options.gradient_clamp)
        return (self.z0_hat - z) / self.width**2 - gradient * (self.options.weight / (2 * self.options.tau**2))

    def set_back(self, z: torch.Tensor, particles: Particles, level: Level) -> torch.Tensor:
        """``z`` with every chain that became non-finite back at its estimate; who that was is reported."""
        finite = finite_rows(z)
        names = [name for name, fine in zip(particles.names, finite.tolist(), strict=True) if not fine]
        if names:
            if not particles.broken:
                log.warning(
                    "Sampler Lab: the chain of particle %s became NaN or infinite at sigma %.3g and was set back "
                    "to its estimate; if the result ignores the measurement, halve the step size.",
                    ", ".join(map(str, names)),
                    float(level.sigma),
                )
            particles.broken |= set(names)
            level.facts["set_back"] = names
        return torch.where(per_row(finite, z), z, self.z0_hat)
