"""The KL autoencoder of Emoji-64: 64x64 RGB <-> latents 4x16x16 (factor f = 4, 1.14 M parameters).

The encoder folds 2x2 pixels into channels before its first convolution and the decoder unfolds them after its last
wide one (PixelUnshuffle / PixelShuffle, arXiv:1609.05158), so no wide layer ever runs at full resolution: a decoder
forward and backward for four particles takes about 40 ms on two CPU cores, which is what posterior sampling spends its
time on. Residual blocks start as the identity (zero-initialised second convolution).

``operations`` has the layers: ``torch.nn``, or a host's own kind of them, which it can move and cast as it needs.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

IMAGE_CHANNELS = 3
LATENT_CHANNELS = 4
FACTOR = 4
_GROUPS = 8
_MIN_LOG_VARIANCE, _MAX_LOG_VARIANCE = -20.0, 4.0


class ResidualBlock(nn.Module):
    """Pre-activation residual block, ``[N, in, H, W] -> [N, out, H, W]``."""

    def __init__(self, in_channels: int, out_channels: int, operations: Any = nn) -> None:
        super().__init__()
        self.norm1 = operations.GroupNorm(_GROUPS, in_channels)
        self.conv1 = operations.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = operations.GroupNorm(_GROUPS, out_channels)
        self.conv2 = operations.Conv2d(out_channels, out_channels, 3, padding=1)
        same = in_channels == out_channels
        self.skip = nn.Identity() if same else operations.Conv2d(in_channels, out_channels, 1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return self.skip(x) + h


class Encoder(nn.Sequential):
    """``[N, 3, H, W]`` in [-1, 1] -> ``[N, 8, H/4, W/4]``: mean and log variance stacked along the channels."""

    def __init__(self, width: tuple[int, int] = (48, 96), operations: Any = nn) -> None:
        fine, coarse = width
        super().__init__(
            nn.PixelUnshuffle(2),
            operations.Conv2d(4 * IMAGE_CHANNELS, fine, 3, padding=1),
            ResidualBlock(fine, fine, operations),
            operations.Conv2d(fine, coarse, 3, stride=2, padding=1),
            ResidualBlock(coarse, coarse, operations),
            ResidualBlock(coarse, coarse, operations),
            operations.GroupNorm(_GROUPS, coarse),
            nn.SiLU(),
            operations.Conv2d(coarse, 2 * LATENT_CHANNELS, 3, padding=1),
        )


class Decoder(nn.Sequential):
    """``[N, 4, h, w] -> [N, 3, 4h, 4w]``, about [-1, 1] (it may overshoot; nothing is clamped)."""

    def __init__(self, width: tuple[int, int, int] = (112, 64, 16), operations: Any = nn) -> None:
        coarse, middle, fine = width
        super().__init__(
            operations.Conv2d(LATENT_CHANNELS, coarse, 3, padding=1),
            ResidualBlock(coarse, coarse, operations),
            ResidualBlock(coarse, coarse, operations),
            nn.Upsample(scale_factor=2, mode="nearest"),
            operations.Conv2d(coarse, middle, 3, padding=1),
            ResidualBlock(middle, middle, operations),
            ResidualBlock(middle, middle, operations),
            operations.GroupNorm(_GROUPS, middle),
            nn.SiLU(),
            operations.Conv2d(middle, 4 * fine, 3, padding=1),
            nn.PixelShuffle(2),
            nn.SiLU(),
            operations.Conv2d(fine, fine, 3, padding=1),
            nn.SiLU(),
            operations.Conv2d(fine, IMAGE_CHANNELS, 3, padding=1),
        )


class Autoencoder(nn.Module):
    """Encoder and decoder with the posterior's moments; latents here are *raw* (not standardised)."""

    def __init__(self, operations: Any = nn) -> None:
        super().__init__()
        self.encoder = Encoder(operations=operations)
        self.decoder = Decoder(operations=operations)

    def moments(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | image), each ``[N, 4, H/4, W/4]``; ``image`` ``[N, 3, H, W]`` in [-1, 1]."""
        mean, log_variance = self.encoder(image).float().chunk(2, dim=1)
        return mean, log_variance.clamp(_MIN_LOG_VARIANCE, _MAX_LOG_VARIANCE)

    def encode(self, image: Tensor) -> Tensor:
        """The deterministic latent, the posterior's mean."""
        return self.moments(image)[0]

    def decode(self, latent: Tensor) -> Tensor:
        """Raw latent ``[N, 4, h, w]`` -> image ``[N, 3, 4h, 4w]``; differentiable."""
        return self.decoder(latent)

    def forward(self, image: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction, mean and log variance; ``noise`` (standard normal, latent shape) reparameterises the draw."""
        mean, log_variance = self.moments(image)
        latent = mean if noise is None else mean + torch.exp(0.5 * log_variance) * noise
        return self.decode(latent), mean, log_variance
