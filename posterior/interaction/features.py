"""Feature spaces in which particles are told apart: the latent itself, the decoded pixels, or DINO (``dino.py``)."""

from __future__ import annotations

from typing import Protocol

import torch

from ..decoding import Decoder

__all__ = ["FEATURE_SPACES", "FeatureSpace", "LatentFeatures", "PixelFeatures"]

FEATURE_SPACES = ("latent", "pixel", "dino")


class FeatureSpace(Protocol):
    """A latent ``[N, ...]`` in the model's own scale to features ``[N, F]``, differentiable; rows do not mix."""

    #: Whether it decodes the latents, which is what it then costs.
    decodes: bool

    def __call__(self, z: torch.Tensor) -> torch.Tensor:
        """``[N, ...]`` to ``[N, F]``."""
        ...


class LatentFeatures:
    """The latent, flattened. Any shape of latent, no network, no cost."""

    decodes = False

    def __call__(self, z: torch.Tensor) -> torch.Tensor:
        """``[N, ...]`` to ``[N, F]``."""
        return z.flatten(1)


class PixelFeatures:
    """The decoded image, flattened."""

    decodes = True

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder

    def __call__(self, z: torch.Tensor) -> torch.Tensor:
        """``[N, c, h, w]`` to ``[N, 3·H·W]``."""
        return self.decoder(z).flatten(1)
