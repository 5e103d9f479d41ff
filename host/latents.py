"""Latents in the shapes that the host's VAEs use."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import torch

__all__ = ["empty_latent"]


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
