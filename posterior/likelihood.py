r"""How well a latent explains a measurement: the residual :math:`L = \|A(\mathrm{dec}(z)) - y\|^2` and its gradient.

Both pass through the decoder, which is where more than 99 % of the arithmetic of posterior sampling goes, so every pass
is counted. What a data step makes of the residual is its own business; where it is the likelihood of Gaussian noise,
:math:`\log p(y|z) = -L/(2\tau^2)`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import torch

from ..operators import Measurement
from ..operators.pixel_posterior import PixelPosterior
from ..operators.posteriors import pixel_posterior
from .autoencoder import Autoencoder

__all__ = ["Evaluation", "Likelihood"]


class Evaluation(NamedTuple):
    """The residual per particle, ``[N]``, and the decoded images ``[N, C, H, W]``."""

    residual: torch.Tensor
    images: torch.Tensor


@dataclass
class Likelihood:
    """The residual of every particle and its gradient with respect to the latent.

    measurement: what was measured; its one ``y`` serves all particles.
    autoencoder: from latents to images.
    """

    measurement: Measurement
    autoencoder: Autoencoder
    _latest: tuple[torch.Tensor, bool, Evaluation] | None = field(default=None, init=False, repr=False)

    @cached_property
    def of_pixels(self) -> PixelPosterior[Any]:
        """What the measurement makes of pictures that are a little wrong.

        Raises:
            ValueError: an operator that has none.
        """
        return pixel_posterior(self.measurement, self.autoencoder.observer)

    def residual(self, z: torch.Tensor) -> torch.Tensor:
        """L per particle, ``[N]``, without a gradient."""
        return self.evaluate(z).residual

    def evaluate(self, z: torch.Tensor, precisely: bool = False) -> Evaluation:
        """L and the images of latents ``z`` ``[N, ...]``, without a gradient.

        precisely: in the decoder's own precision, which is what whoever decodes the result will see.

        Asked again about the same tensor it remembers: several parts of one step want to know.
        """
        if self._latest is not None and self._latest[0] is z and self._latest[1] == precisely:
            return self._latest[2]
        images = self.autoencoder.decode(z, precisely)
        evaluation = Evaluation(self.residual_of_images(images), images)
        self._latest = z, precisely, evaluation
        return evaluation

    def residual_of_images(self, images: torch.Tensor) -> torch.Tensor:
        """``[N]``, of images ``[N, C, H, W]`` as they are."""
        with torch.no_grad():
            return torch.cat([self.measurement.residual(chunk) for chunk in self.autoencoder.decoding.chunks(images)])

    def residual_of_pictures(self, images: torch.Tensor) -> torch.Tensor:
        """``[N]``, of images ``[N, C, H, W]`` after they were clamped to [-1, 1], as saved pictures are."""
        return self.residual_of_images(images.clamp(-1, 1))

    def residual_and_gradient(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """L ``[N]`` and its gradient, shaped and typed like ``z``.

        ComfyUI runs nodes under ``torch.inference_mode``; leaving it here (and copying ``z``, an inference tensor)
        makes autograd work. The decoder must bring weights that allow it: see ``host/decoder.py``.
        """
        residuals, gradients = [], []
        for chunk in self.autoencoder.decoding.chunks(z):
            with torch.inference_mode(False), torch.enable_grad():
                leaf = chunk.clone().requires_grad_(True)
                residual = self.measurement.residual(self.autoencoder.decode_chunk(leaf))
                # Rows do not mix, so the gradient of the sum is every particle's own gradient.
                (gradient,) = torch.autograd.grad(residual.sum(), leaf)
            residuals.append(residual.detach())
            gradients.append(gradient)
        self.autoencoder.observer.count(decoder_forward=len(z), decoder_backward=len(z))
        return torch.cat(residuals), torch.cat(gradients)
