"""Latents in the shapes that the host's VAEs use."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import torch

__all__ = ["check_latent_size", "empty_latent"]


def empty_latent(vae: Any, image_shape: tuple[int, int], count: int) -> torch.Tensor:
    """Zeros ``[count, channels, H / f, W / f]`` that ``vae`` decodes to images of ``image_shape`` = (H, W).

    Raises:
        ValueError: the VAE's factor f does not divide the image's size, so that no latent decodes to it.
    """
    factor = vae.spacial_compression_decode()
    height, width = image_shape
    if height % factor or width % factor:
        raise ValueError(
            f"the measured image is {width}×{height}, which this VAE cannot make: its images are multiples of {factor}."
        )
    shape = (count, vae.latent_channels, height // factor, width // factor)
    return torch.zeros(shape, device=comfy.model_management.intermediate_device())


def check_latent_size(vae: Any, latent: torch.Tensor, image_shape: tuple[int, int]) -> None:
    """Raise a ``ValueError`` when ``latent`` ``[..., h, w]`` does not decode to ``image_shape`` = (H, W)."""
    factor = vae.spacial_compression_decode()
    height, width = (side * factor for side in latent.shape[-2:])
    if (height, width) != tuple(image_shape):
        raise ValueError(
            f"the latent decodes to {width}×{height}, but the measurement is of an image of "
            f"{image_shape[1]}×{image_shape[0]}; take the latent from the Particles node."
        )
