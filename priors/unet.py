"""The denoiser of Emoji-64: a class-conditional U-Net (3.3 M parameters) under EDM preconditioning (arXiv:2206.00364).

    D(x; sigma) = c_skip x + c_out F(c_in x, c_noise),   sigma_data = 1 because the latents are standardised
    c_noise = log(sigma) / 4,  c_skip = 1 / (sigma^2 + 1)
    c_out = sigma / sqrt(sigma^2 + 1),  c_in = 1 / sqrt(sigma^2 + 1)

Three resolutions (16, 8, 4) of 64, 96 and 128 channels, self-attention at 8 and 4, adaptive group norm from the sum of
the noise embedding and the class embedding. ``operations`` has the layers: ``torch.nn``, or a host's own kind of them,
which it can move and cast as it needs; so weights are used by their layers only.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .autoencoder import LATENT_CHANNELS
from .classes import CLASSES, with_null_mass

_GROUPS = 8
_HEAD_CHANNELS = 32
_FREQUENCIES = 32
_INV_SQRT2 = math.sqrt(0.5)


class SelfAttention(nn.Module):
    """Multi-head self-attention over the pixels of ``[N, C, H, W]``; the residual is added by the caller."""

    def __init__(self, channels: int, operations: Any = nn) -> None:
        super().__init__()
        self.heads = max(1, channels // _HEAD_CHANNELS)
        self.norm = operations.GroupNorm(_GROUPS, channels)
        self.qkv = operations.Conv2d(channels, 3 * channels, 1)
        self.project = operations.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.project.weight)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        qkv = self.qkv(self.norm(x)).reshape(n, 3, self.heads, c // self.heads, h * w)
        q, k, v = qkv.transpose(-1, -2).unbind(1)
        out = F.scaled_dot_product_attention(q, k, v).transpose(-1, -2).reshape(n, c, h, w)
        return self.project(out)


class ModulatedBlock(nn.Module):
    """Residual block whose second norm is scaled and shifted by the embedding, then optional self-attention."""

    def __init__(
        self, in_channels: int, out_channels: int, embedding: int, attention: bool = False, operations: Any = nn
    ) -> None:
        super().__init__()
        self.norm1 = operations.GroupNorm(_GROUPS, in_channels)
        self.conv1 = operations.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = operations.GroupNorm(_GROUPS, out_channels)
        self.conv2 = operations.Conv2d(out_channels, out_channels, 3, padding=1)
        self.modulation = operations.Linear(embedding, 2 * out_channels)
        same = in_channels == out_channels
        self.skip = nn.Identity() if same else operations.Conv2d(in_channels, out_channels, 1)
        self.attention = SelfAttention(out_channels, operations) if attention else None
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))
        x = (self.skip(x) + h) * _INV_SQRT2
        if self.attention is not None:
            x = (x + self.attention(x)) * _INV_SQRT2
        return x


class UNet(nn.Module):
    """F(x, c_noise, w): ``[N, 4, h, w]``, ``[N]``, ``[N, 12]`` -> ``[N, 4, h, w]``; h and w are multiples of 4."""

    def __init__(
        self, channels: tuple[int, int, int] = (64, 96, 128), embedding: int = 128, operations: Any = nn
    ) -> None:
        super().__init__()
        a, b, c = channels
        e = embedding

        def block(in_channels: int, out_channels: int, attention: bool = False) -> ModulatedBlock:
            return ModulatedBlock(in_channels, out_channels, e, attention, operations)

        frequencies = torch.exp(torch.linspace(math.log(0.5), math.log(60.0), _FREQUENCIES))
        self.register_buffer("frequencies", frequencies)
        self.noise_embedding = nn.Sequential(operations.Linear(2 * _FREQUENCIES, e), nn.SiLU(), operations.Linear(e, e))
        self.class_embedding = operations.Embedding(len(CLASSES) + 1, e)  # the last row is the null class
        self.input = operations.Conv2d(LATENT_CHANNELS, a, 3, padding=1)
        self.down1 = block(a, a)
        self.to_half = operations.Conv2d(a, a, 3, stride=2, padding=1)
        self.down2 = block(a, b, attention=True)
        self.to_quarter = operations.Conv2d(b, b, 3, stride=2, padding=1)
        self.down3 = block(b, c, attention=True)
        self.middle = block(c, c, attention=True)
        self.up3 = nn.ModuleList([block(2 * c, c, attention=True), block(c + b, c)])
        self.from_quarter = operations.Conv2d(c, b, 3, padding=1)
        self.up2 = nn.ModuleList([block(2 * b, b, attention=True), block(b + a, b, attention=True)])
        self.from_half = operations.Conv2d(b, a, 3, padding=1)
        self.up1 = nn.ModuleList([block(2 * a, a), block(2 * a, a)])
        self.norm = operations.GroupNorm(_GROUPS, a)
        self.output = operations.Conv2d(a, LATENT_CHANNELS, 3, padding=1)
        nn.init.zeros_(self.output.weight)

    def embed(self, c_noise: Tensor, weights: Tensor) -> Tensor:
        """Embedding ``[N, e]`` of the noise level and of the class weights (null mass filled in)."""
        phase = c_noise[:, None] * self.frequencies[None]
        noise = self.noise_embedding(torch.cat([phase.cos(), phase.sin()], dim=1).to(self.input.weight.dtype))
        table = self.class_embedding(torch.arange(len(CLASSES) + 1, device=weights.device))
        label = with_null_mass(weights).to(table.dtype) @ table
        return F.silu(noise + label)

    def forward(self, x: Tensor, c_noise: Tensor, weights: Tensor) -> Tensor:
        embedding = self.embed(c_noise, weights)
        full_in = self.input(x)
        full = self.down1(full_in, embedding)
        half_in = self.to_half(full)
        half = self.down2(half_in, embedding)
        quarter_in = self.to_quarter(half)
        quarter = self.down3(quarter_in, embedding)

        h = self.middle(quarter, embedding)
        h = self.up3[0](torch.cat([h, quarter], dim=1), embedding)
        h = self.up3[1](torch.cat([h, quarter_in], dim=1), embedding)
        h = self.from_quarter(F.interpolate(h, scale_factor=2))
        h = self.up2[0](torch.cat([h, half], dim=1), embedding)
        h = self.up2[1](torch.cat([h, half_in], dim=1), embedding)
        h = self.from_half(F.interpolate(h, scale_factor=2))
        h = self.up1[0](torch.cat([h, full], dim=1), embedding)
        h = self.up1[1](torch.cat([h, full_in], dim=1), embedding)
        return self.output(F.silu(self.norm(h)))


class Denoiser(nn.Module):
    """D(x; sigma, w): the EDM-preconditioned U-Net on standardised latents."""

    sigma_data = 1.0
    sigma_min = 0.002
    sigma_max = 80.0

    def __init__(self, network: UNet | None = None) -> None:
        super().__init__()
        self.network = UNet() if network is None else network

    def forward(self, x: Tensor, sigma: Tensor | float, weights: Tensor | None = None) -> Tensor:
        """Posterior mean E[x0 | x] ``[N, 4, h, w]`` of ``x = x0 + sigma noise``.

        ``sigma`` is a number or ``[N]``; ``weights`` is ``[12]`` or ``[N, 12]`` class weights, None for the null class.
        """
        n = x.shape[0]
        sigma = torch.as_tensor(sigma, dtype=torch.float32, device=x.device).reshape(-1).expand(n)
        if weights is None:
            weights = x.new_zeros(n, len(CLASSES))
        weights = weights.to(x.device).expand(n, len(CLASSES))
        s = sigma.reshape(-1, 1, 1, 1)
        scale = torch.rsqrt(s**2 + self.sigma_data**2)
        network_input = (x * scale).to(self.network.input.weight.dtype)
        f = self.network(network_input, torch.log(sigma) / 4, weights)
        return self.sigma_data**2 * scale**2 * x + s * self.sigma_data * scale * f.float()
