r"""The joint maximum of a latent and of what its decoder cannot draw.

The picture is :math:`u = \mathrm{dec}(z) + r`, with a remainder :math:`r_p \sim N(0, s_p^2)` that no latent explains.
Fitting dec(z) alone to y makes z explain what belongs to r, and overfits. With r eliminated (it is its posterior mean,
the same soft step as in ``pixel.py``), what is left to minimise is

.. math:: -\log p(y \mid z) + \|z - \hat z_0\|^2 / (2 r_\sigma^2), \qquad r_\sigma^2 = \sigma^2/(1 + \sigma^2),

with the gradient :math:`J^T (\mathrm{dec}(z) - E[u \mid y, \mathrm{dec}(z)]) / s^2 + (z - \hat z_0)/r_\sigma^2`: one
pass back through the decoder, and the only ones in the recipe. Each particle has its own Adam, whose steps shrink with
the noise level. v and s² stay those of the level's first picture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from ...diffusion.options import option, option_like
from ..level import LARGEST_SPACING_SIGMA, Level
from ..likelihood import Evaluation
from ..part import DataStep
from ..particles import Particles
from .chain import prior_width
from .pixel import PixelStep, pixel_variance

__all__ = ["JointFit"]

_PIXEL = {each.name: each for each in PixelStep.options()}
#: Of a pixel, in units of the noise's own: the gradient is a difference over it, and flat areas without it have none.
LEAST_VARIANCE = 1e-4


@dataclass(frozen=True)
class JointFit(DataStep):
    """Some steps of Adam on every particle's latent at each noise level."""

    name: ClassVar[str] = "joint_fit"
    title: ClassVar[str] = "Joint Fit"
    phase: ClassVar[str] = "fit"
    about: ClassVar[str] = (
        "At every noise level each latent is fitted to the measurement together with a remainder that its decoder "
        "cannot draw. For the last, small noise levels."
    )
    aliases: ClassVar[tuple[str, ...]] = ("MAP", "optimise", "Adam", "recipe", "refine", "latent optimisation")

    steps: int = option(
        16,
        "Steps of Adam at each noise level; each decodes every particle forwards and backwards, so time grows with "
        "them. 0: off.",
        minimum=0,
        maximum=10_000,
    )
    learning_rate: float = option(
        0.25,
        "Adam's step, as a share of the noise level: about how far each number of the latent may move in one step. "
        "Too large: the residual jumps. Too small: it stays high.",
        above=0.0,
        maximum=100.0,
        step=0.05,
    )
    iterations: int = option(
        3,
        "Iterations that solve for the remainder before each step. They are cheap: no network is called.",
        minimum=1,
        maximum=1000,
        advanced=True,
    )
    start_iterations: int = option(
        8, "The same before the first step, which starts from nothing.", minimum=1, maximum=1000, advanced=True
    )
    spread: float = option_like(
        _PIXEL["spread"],
        default=1.0,
        description="How many times as large the remainder is taken to be as the misfit says, in variance. Larger: the "
        "remainder explains more, the latent less.",
    )
    flat_share: float = option_like(_PIXEL["flat_share"], default=0.05)
    #: Adam's; no widget.
    beta1: float = 0.9
    beta2: float = 0.99
    #: At 0 it is skipped.
    weight: float = 1.0

    @property
    def is_active(self) -> bool:
        return self.weight > 0 and self.steps > 0

    def phase_at(self, level: Level) -> str | None:  # noqa: ARG002 - wherever it is asked
        return self.phase if self.is_active else None

    def weighted(self, weight: float) -> JointFit:
        """Multiplied, the weight multiplies the likelihood; at 0 only the prior is left."""
        return self if weight == 1.0 else replace(self, weight=self.weight * weight)

    def __call__(self, particles: Particles, z0_hat: torch.Tensor, level: Level) -> torch.Tensor:
        """z0 ``[N, ...]``."""
        if not self.is_active:
            return z0_hat
        level.observer.enter(self.phase)
        chunks = level.likelihood.autoencoder.decoding.chunks
        free = particles.free(torch.ones_like(z0_hat))
        fitted = [_Fit(self, z, may_move, level) for z, may_move in zip(chunks(z0_hat), chunks(free), strict=True)]
        z0 = torch.cat([fit.run() for fit in fitted])
        images = torch.cat([fit.images for fit in fitted])
        level.seen = Evaluation(level.likelihood.residual_of_images(images), images)
        return z0


class _Fit:
    """Adam on the latents of one chunk.

    free: 1 where a latent may move, 0 where it is given; shaped like them.
    images: what the latest step decoded.
    """

    def __init__(self, options: JointFit, z0_hat: torch.Tensor, free: torch.Tensor, level: Level) -> None:
        self._options, self._z0_hat, self._free, self._level = options, z0_hat, free, level
        self._width = prior_width(level.sigma_ve, "capped")
        self.images: torch.Tensor = z0_hat

    def run(self) -> torch.Tensor:
        """The fitted latents."""
        o, z = self._options, self._z0_hat
        step_size = o.learning_rate * min(self._level.sigma_ve, LARGEST_SPACING_SIGMA)
        mean, square = torch.zeros_like(z), torch.zeros_like(z)
        for t in range(1, o.steps + 1):
            self._level.observer.raise_if_cancelled()
            self.images, gradient = self._level.likelihood.autoencoder.pull_back(z, self._cotangent)
            gradient = o.weight * gradient + (z - self._z0_hat) / self._width**2
            mean = o.beta1 * mean + (1 - o.beta1) * gradient
            square = o.beta2 * square + (1 - o.beta2) * gradient.square()
            step = (mean / (1 - o.beta1**t)) / ((square / (1 - o.beta2**t)).sqrt() + 1e-8)
            z = z - step_size * step * self._free
        return z

    def _cotangent(self, images: torch.Tensor) -> torch.Tensor:
        """(dec(z) - E[u | y, dec(z)]) / s², from where the picture's posterior mean was left."""
        o, pixels = self._options, self._level.likelihood.of_pixels
        if not hasattr(self, "_variance"):
            self._error = pixels.error(images)
            variance = pixel_variance(images, self._error.variance, o.spread, o.flat_share)
            self._variance = variance.clamp_min(LEAST_VARIANCE * pixels.noise_variance)
            self._mean = pixels.mean(images, self._error, self._variance, o.start_iterations, momentum=False)
        else:
            self._mean = pixels.mean(
                images, self._error, self._variance, o.iterations, start=self._mean, momentum=False
            )
        return (images - self._mean) / self._variance
