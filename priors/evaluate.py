"""Held-out figures of the prior: reconstruction PSNR, denoising loss per noise level, and a sheet of samples."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from .autoencoder import Autoencoder
from .classes import CLASSES
from .data import BACKGROUNDS, Glyphs, compose
from .loader import EmojiPrior
from .unet import Denoiser

SIGMAS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 6.0, 12.0)
_CHUNK = 48


def to_model_range(pictures: np.ndarray) -> Tensor:
    """uint8 ``[N, 64, 64, 3]`` -> float ``[N, 3, 64, 64]`` in [-1, 1]."""
    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def held_out_pictures(glyphs: Glyphs) -> tuple[Tensor, Tensor, list[str]]:
    """Every held-out glyph in canonical size, backgrounds in turn: pictures in [-1, 1], class indices, names."""
    index = np.where(glyphs.held_out)[0]
    colours = list(BACKGROUNDS.values())
    pictures = [compose(glyphs.rgba[i], colours[k % len(colours)]) for k, i in enumerate(index)]
    classes = torch.from_numpy(glyphs.label[index]).long()
    return to_model_range(np.stack(pictures)), classes, [str(name) for name in glyphs.name[index]]


@torch.no_grad()
def reconstruction_psnr(autoencoder: Autoencoder, pictures: Tensor) -> Tensor:
    """PSNR in dB ``[N]`` of decode(encode(x)), clamped to [-1, 1], on the [0, 1] range."""
    output = torch.cat([autoencoder.decode(autoencoder.encode(part)) for part in pictures.split(_CHUNK)])
    mse = ((output.clamp(-1, 1) - pictures) / 2).square().flatten(1).mean(1)
    return -10 * mse.log10()


@torch.no_grad()
def denoising_loss(denoiser: Denoiser, latents: Tensor, weights: Tensor, seed: int = 0) -> dict[float, float]:
    """Mean squared error of D at each sigma over min(1, sigma^2): 1 is what no denoiser at all would score.

    The noise depends on the seed alone, so two denoisers are compared on the same noisy latents.
    """
    generator = torch.Generator().manual_seed(seed)
    result = {}
    for sigma in SIGMAS:
        total = 0.0
        for part, condition in zip(latents.split(_CHUNK), weights.split(_CHUNK), strict=True):
            noise = torch.randn(part.shape, generator=generator).to(part.device)
            denoised = denoiser(part + sigma * noise, sigma, condition.to(part.device))
            total += (denoised - part).square().sum().item()
        result[sigma] = total / latents.numel() / min(1.0, sigma**2)
    return result


@torch.no_grad()
def heun(
    prior: EmojiPrior, weights: Tensor, steps: int = 18, guidance: float = 1.0, seed: int = 0, sigma_max: float = 40.0
) -> Tensor:
    """Heun's method on dx/dsigma = (x - D)/sigma over a poly-7 grid (Karras et al., arXiv:2206.00364, algorithm 1).

    ``weights`` ``[N, 12]``; returns model latents ``[N, 4, 16, 16]``. ``guidance`` mixes D = u + guidance (c - u).
    """
    sigma_min, rho = 0.01, 7
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    grid = (sigma_max ** (1 / rho) + ramp * (sigma_min ** (1 / rho) - sigma_max ** (1 / rho))) ** rho
    sigmas = [*grid.tolist(), 0.0]
    noise = torch.randn(len(weights), 4, 16, 16, generator=torch.Generator().manual_seed(seed))
    x = noise.to(prior.mean.device) * sigmas[0]

    def slope(x: Tensor, sigma: float) -> Tensor:
        denoised = prior.denoiser(x, sigma, weights)
        if guidance != 1.0:
            free = prior.denoiser(x, sigma)
            denoised = free + guidance * (denoised - free)
        return (x - denoised) / sigma

    for now, after in pairwise(sigmas):
        d = slope(x, now)
        euler = x + (after - now) * d
        x = euler if after == 0 else x + (after - now) * 0.5 * (d + slope(euler, after))
    return x


@torch.no_grad()
def sample_sheet(prior: EmojiPrior, rows: int = 5, guidance: float = 1.0, seed: int = 0) -> np.ndarray:
    """uint8 sheet: one column per class in the order of `CLASSES`, ``rows`` samples each, 18 Heun steps."""
    weights = torch.eye(len(CLASSES)).repeat(rows, 1)
    latents = heun(prior, weights, guidance=guidance, seed=seed)
    images = torch.cat([prior.decode(part) for part in latents.split(_CHUNK)]).clamp(-1, 1)
    tiles = ((images + 1) * 127.5).round().byte().cpu().reshape(rows, len(CLASSES), 3, 64, 64)
    return tiles.permute(0, 3, 1, 4, 2).reshape(rows * 64, len(CLASSES) * 64, 3).numpy()
