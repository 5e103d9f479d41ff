r"""How well a latent explains a measurement: the residual :math:`L = \|A(\mathrm{dec}(z)) - y\|^2` and its gradient.

Both pass through the decoder, which is where more than 99 % of the arithmetic of posterior sampling goes, so every pass
is counted. What a data step makes of the residual is its own business; where it is the likelihood of Gaussian noise,
:math:`\log p(y|z) = -L/(2\tau^2)`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from ..diffusion.observer import SILENT, Observer
from ..operators import Measurement
from .decoding import Decoder, Decoding, decoder_autocast, weights_dtype

__all__ = ["Evaluation", "Likelihood"]


class Evaluation(NamedTuple):
    """The residual per particle, ``[N]``, and the decoded images ``[N, C, H, W]``."""

    residual: torch.Tensor
    images: torch.Tensor


@dataclass
class Likelihood:
    """The residual of every particle and its gradient with respect to the latent.

    measurement: what was measured; its one ``y`` serves all particles.
    decoder: from latents to images.
    decoding: how many at a time, in what precision.
    observer: is told of every pass through the decoder.
    """

    measurement: Measurement
    decoder: Decoder
    decoding: Decoding = field(default_factory=Decoding)
    observer: Observer = SILENT
    _latest: tuple[torch.Tensor, bool, Evaluation] | None = field(default=None, init=False, repr=False)

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
        with torch.no_grad():
            images = [self._decode(chunk, precisely) for chunk in self.decoding.chunks(z)]
            residuals = [self.measurement.residual(image) for image in images]
        self.observer.count(decoder_forward=len(z))
        evaluation = Evaluation(torch.cat(residuals), torch.cat(images))
        self._latest = z, precisely, evaluation
        return evaluation

    def residual_of_pictures(self, images: torch.Tensor) -> torch.Tensor:
        """``[N]``, of images ``[N, C, H, W]`` after they were clamped to [-1, 1], as saved pictures are."""
        with torch.no_grad():
            return torch.cat([self.measurement.residual(chunk.clamp(-1, 1)) for chunk in self.decoding.chunks(images)])

    def residual_and_gradient(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """L ``[N]`` and its gradient, shaped and typed like ``z``.

        ComfyUI runs nodes under ``torch.inference_mode``; leaving it here (and copying ``z``, an inference tensor)
        makes autograd work. The decoder must bring weights that allow it: see ``host/decoder.py``.
        """
        residuals, gradients = [], []
        for chunk in self.decoding.chunks(z):
            with torch.inference_mode(False), torch.enable_grad():
                leaf = chunk.clone().requires_grad_(True)
                residual = self.measurement.residual(self._decode(leaf))
                # Rows do not mix, so the gradient of the sum is every particle's own gradient.
                (gradient,) = torch.autograd.grad(residual.sum(), leaf)
            residuals.append(residual.detach())
            gradients.append(gradient)
        self.observer.count(decoder_forward=len(z), decoder_backward=len(z))
        return torch.cat(residuals), torch.cat(gradients)

    def _decode(self, z: torch.Tensor, precisely: bool = False) -> torch.Tensor:
        precision = "full" if precisely else self.decoding.precision
        with decoder_autocast(z.device, precision, weights_dtype(self.decoder)):
            image = self.decoder(z)
        return image.float()  # the measurement is compared in single precision
