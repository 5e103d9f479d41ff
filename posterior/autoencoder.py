"""From latents to pictures and back, every pass counted, as many at a time as memory allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from ..diffusion.observer import SILENT, Observer
from .decoding import Decoder, Decoding, decoder_autocast, weights_dtype

__all__ = ["Autoencoder", "Encoder"]

#: An image ``[N, 3, H, W]`` in [-1, 1] to its latent ``[N, c, h, w]`` in the model's own scale; no gradient is needed.
Encoder = Callable[[torch.Tensor], torch.Tensor]


@dataclass
class Autoencoder:
    """The decoder of the model that is sampled, and its encoder where a method needs one.

    decoding: how many at a time, in what precision.
    observer: is told of every pass.
    """

    decoder: Decoder
    encoder: Encoder | None = None
    decoding: Decoding = field(default_factory=Decoding)
    observer: Observer = SILENT

    def decode(self, z: torch.Tensor, precisely: bool = False) -> torch.Tensor:
        """Images of latents ``[N, ...]``, without a gradient, not clamped.

        precisely: in the decoder's own precision, which is what whoever decodes the result will see.
        """
        with torch.no_grad():
            images = torch.cat([self.decode_chunk(chunk, precisely) for chunk in self.decoding.chunks(z)])
        self.observer.count(decoder_forward=len(z))
        return images

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Latents of images ``[N, 3, H, W]``, without a gradient.

        Raises:
            ValueError: there is no encoder.
        """
        if self.encoder is None:
            raise ValueError("this method encodes pictures, but it was given no encoder; pass encoder=.")
        with torch.no_grad(), decoder_autocast(images.device, self.decoding.precision, weights_dtype(self.encoder)):
            latents = torch.cat([self.encoder(chunk) for chunk in self.decoding.chunks(images)])
        self.observer.count(encoder=len(images))
        return latents.float()

    def pull_back(
        self, z: torch.Tensor, cotangent: Callable[[torch.Tensor], torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Images of latents ``z``, and what ``cotangent`` makes of those, times the decoder's Jacobian: like ``z``.

        All at once; :meth:`Decoding.chunks` is the caller's business, whose cotangent may depend on the row.
        """
        with torch.inference_mode(False), torch.enable_grad():
            leaf = z.clone().requires_grad_(True)
            images = self.decode_chunk(leaf)
            with torch.no_grad():
                pulling = cotangent(images.detach())
            (gradient,) = torch.autograd.grad(images, leaf, pulling)
        self.observer.count(decoder_forward=len(z), decoder_backward=len(z))
        return images.detach(), gradient

    def decode_chunk(self, z: torch.Tensor, precisely: bool = False) -> torch.Tensor:
        """Images of ``z``, with a gradient where one is enabled, in one piece and not counted."""
        precision = "full" if precisely else self.decoding.precision
        with decoder_autocast(z.device, precision, weights_dtype(self.decoder)):
            image = self.decoder(z)
        return image.float()  # the measurement is compared in single precision
