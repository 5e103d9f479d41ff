"""Checks of what reaches a guider only when sampling starts: the latent."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["check_decodes_to"]


def check_decodes_to(vae: Any, latent_image: torch.Tensor, image_shape: tuple[int, int]) -> None:
    """Raise a ``ValueError`` unless ``vae`` decodes the latents to images of ``image_shape`` = (H, W)."""
    height, width = image_shape
    remedy = f"use an empty latent of width {width} and height {height}, or the node Particles"
    if getattr(latent_image, "is_nested", False) or latent_image.ndim != 4:
        raise ValueError(f"the latent is not one of single images, but the measurement is of an image; {remedy}.")
    factor = vae.spacial_compression_decode()
    decoded = tuple(side * factor for side in latent_image.shape[-2:])
    if decoded != (height, width):
        raise ValueError(
            f"the latent decodes to {decoded[1]}×{decoded[0]}, but the measurement is of an image of {width}×{height}; "
            f"{remedy}."
        )
