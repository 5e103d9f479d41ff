r"""A data step in pixels: decode, let the measurement correct the picture, encode the correction.

1. :math:`u_0 = \mathrm{dec}(\hat z_0)`, which is wrong by errors of variance s² (from its misfit and its edges);
2. :math:`u = E[u \mid y]` for a picture with those errors (``operators/pixel_posterior.py``);
3. :math:`z_0 = \hat z_0 + (1 + \gamma)\,(\mathrm{enc}(u) - \mathrm{enc}(u_0))`.

No gradient passes through the decoder, which is what makes it cheap. An autoencoder loses a part of every picture, so
enc(u) alone would lose that part at each step; the difference of two encodings loses it twice, which cancels. And it
answers a change of the picture with less than that change, which :math:`\gamma` makes up for (error feedback).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from ...diffusion.options import option
from ..edge_map import edge_map
from ..level import Level
from ..likelihood import Evaluation, Likelihood
from ..part import DataStep
from ..particles import Particles

__all__ = ["PixelStep", "pixel_variance"]


@dataclass(frozen=True)
class PixelStep(DataStep):
    """One correction of every particle's picture at each noise level."""

    name: ClassVar[str] = "pixel"
    title: ClassVar[str] = "Pixel"
    about: ClassVar[str] = (
        "At every noise level the measurement corrects the model's decoded picture as far as the picture is wrong, and "
        "the correction is encoded. No gradient through the decoder, so it is quick."
    )
    aliases: ClassVar[tuple[str, ...]] = ("proximal", "soft phase", "error reduction", "recipe", "DiffPIR", "LATINO")

    iterations: int = option(
        8,
        "Iterations of the picture's correction, for measurements without a solution in one step (phase retrieval). "
        "They are cheap: no network is called.",
        minimum=1,
        maximum=1000,
    )
    spread: float = option(
        2.0,
        "How many times as wrong the picture is taken to be as its misfit says, in variance. Larger: the measurement "
        "may move it further.",
        above=0.0,
        maximum=100.0,
        step=0.1,
    )
    flat_share: float = option(
        0.3,
        "Share of the picture's errors that is the same everywhere; the rest follows its edges, where decoders are "
        "wrong. 1: no edge map.",
        minimum=0.0,
        maximum=1.0,
        step=0.05,
    )
    feedback: float = option(
        1.0,
        "The encoded correction is made larger by this share (1: twice as large), because an autoencoder answers a "
        "change of the picture with less than that change. 0: as it is encoded.",
        minimum=0.0,
        maximum=10.0,
        step=0.1,
    )
    #: At 0 it is skipped and the prior is sampled.
    weight: float = 1.0

    @property
    def is_active(self) -> bool:
        return self.weight > 0

    def weighted(self, weight: float) -> PixelStep:
        """Multiplied, the weight divides the noise variance that is believed in; at 0 only the prior is left."""
        return self if weight == 1.0 else replace(self, weight=self.weight * weight)

    def __call__(self, particles: Particles, z0_hat: torch.Tensor, level: Level) -> torch.Tensor:
        """z0 ``[N, ...]``; what was decoded on the way is left on the level."""
        if not self.is_active:
            return z0_hat
        likelihood = level.likelihood
        level.observer.raise_if_cancelled()
        u0 = likelihood.autoencoder.decode(z0_hat)
        u = torch.cat([self.corrected(chunk, likelihood) for chunk in likelihood.autoencoder.decoding.chunks(u0)])
        level.observer.raise_if_cancelled()
        change = likelihood.autoencoder.encode(u) - likelihood.autoencoder.encode(u0)
        level.seen = Evaluation(likelihood.residual_of_images(u0), u0)
        return z0_hat + particles.free((1 + self.feedback) * change)

    def corrected(self, u0: torch.Tensor, likelihood: Likelihood) -> torch.Tensor:
        """E[u | y] of pictures ``[N, 3, H, W]``."""
        error = likelihood.of_pixels.error(u0)
        variance = pixel_variance(u0, error.variance, self.spread * self.weight, self.flat_share)
        return likelihood.of_pixels.mean(u0, error, variance, self.iterations)


def pixel_variance(images: torch.Tensor, variance: torch.Tensor, spread: float, flat_share: float) -> torch.Tensor:
    """s² of every pixel, ``[N, 1, H, W]``, from the mean ``[N]``; see ``edge_map.py``."""
    shape = 1.0 if flat_share == 1 else flat_share + (1 - flat_share) * edge_map(images)
    return spread * variance.reshape(-1, 1, 1, 1) * shape
