r"""Leave the decoder's range: the last word on a picture is the measurement's.

No latent draws the truth exactly, so the best picture in the decoder's range still misses y by more than the noise.
What it misses is corrected in pixels, once, by the soft step of ``data_steps/pixel.py`` in its plainest form (no
momentum, one variance for all frequencies): :math:`u = E[u \mid y]` around dec(z). How far it may go follows from the
excess e of the residual over its floor: a small excess is mostly its own uncertainty, so its part in s² is
:math:`e/(e + 0.1)`.

The latent stays where it is; what leaves the run is the picture. Hard data consistency pays here, outside the decoder's
range, not inside of it, where it bends the latent (``hard_consistency.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ...diffusion.options import option_like
from ..data_steps.pixel import PixelStep, pixel_variance
from ..level import Level
from ..part import Move
from ..particles import Particles

__all__ = ["OffDecoder"]

_PIXEL = {each.name: each for each in PixelStep.options()}
#: Excess over the floor that is taken for half uncertain.
HALF_EXCESS = 0.1


@dataclass(frozen=True)
class OffDecoder(Move):
    """After the last step: the pictures corrected by the measurement."""

    name: ClassVar[str] = "off_decoder"
    title: ClassVar[str] = "Off The Decoder"
    phase: ClassVar[str] = "off_decoder"
    about: ClassVar[str] = (
        "After the last step the measurement corrects each decoded picture in pixels, beyond what the VAE can draw. "
        "Gives pictures beside the latents."
    )
    aliases: ClassVar[tuple[str, ...]] = ("data consistency", "pixel", "polish", "refine", "recipe")

    iterations: int = option_like(_PIXEL["iterations"], default=40)
    spread: float = option_like(_PIXEL["spread"])
    flat_share: float = option_like(_PIXEL["flat_share"], default=0.05)

    def is_due(self, level: Level) -> bool:
        """After the last step."""
        return level.is_last

    def __call__(self, particles: Particles, z0: torch.Tensor, level: Level) -> torch.Tensor:
        """The same z0; the pictures ``[N, 3, H, W]`` are the particles'."""
        level.observer.enter(self.phase)
        likelihood = level.likelihood
        images = likelihood.evaluate(z0, precisely=True).images.clamp(-1, 1)
        before = likelihood.residual_of_images(images)
        excess = (before / max(likelihood.measurement.noise_floor, 1e-30) - 1).clamp_min(0)
        believed = excess / (excess + HALF_EXCESS)
        chunks = likelihood.autoencoder.decoding.chunks
        found = [self._corrected(x, part, level) for x, part in zip(chunks(images), chunks(believed), strict=True)]
        particles.pictures = torch.cat(found)
        level.report(
            off_decoder={
                "particles": list(particles.names),
                "residual_before": before.tolist(),
                "residual": likelihood.residual_of_images(particles.pictures).tolist(),
            }
        )
        return z0

    def _corrected(self, images: torch.Tensor, believed: torch.Tensor, level: Level) -> torch.Tensor:
        level.observer.raise_if_cancelled()
        pixels = level.likelihood.of_pixels
        error = pixels.error(images, by_band=False)
        variance = pixel_variance(images, error.variance * believed, self.spread, self.flat_share) + 1e-6 * (
            pixels.noise_variance
        )
        return pixels.mean(images, error, variance, self.iterations, momentum=False)
