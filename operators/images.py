"""What every operator asks of an image, and of a size, before it works on it."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["LARGEST_SIDE", "check_image", "is_size"]

#: Of an image or a detector, in pixels.
LARGEST_SIDE = 65_536


def check_image(image: torch.Tensor, name: str = "image") -> torch.Tensor:
    """``image`` as float32 (float64 stays), after checking that it is a finite real batch ``[N, C, H, W]``, N >= 1.

    Raises:
        ValueError: anything else, in one sentence.
    """
    if not isinstance(image, torch.Tensor):
        raise ValueError(f"{name} is a {type(image).__name__}; it must be a torch tensor [N, 3, H, W] in [-1, 1].")
    if image.ndim != 4:
        raise ValueError(f"{name} has shape {list(image.shape)}; it must be [N, 3, H, W].")
    if image.shape[1] not in (1, 3) or 0 in image.shape[2:]:
        raise ValueError(
            f"{name} has {image.shape[1]} channels of {image.shape[2]}×{image.shape[3]}; it must be [N, 3, H, W]."
        )
    if 0 in image.shape:
        raise ValueError(f"{name} is empty (shape {list(image.shape)}); give at least one image.")
    if image.is_complex():
        raise ValueError(f"{name} is complex; the object must be real, so pass its real part or its modulus.")
    if not image.is_floating_point():
        raise ValueError(f"{name} has dtype {image.dtype}; convert it to float in [-1, 1] (x / 127.5 - 1 for bytes).")
    return image if image.dtype == torch.float64 else image.float()


def is_size(value: Any) -> bool:
    """Whether it is (rows, columns), each a whole number from 1 to :data:`LARGEST_SIDE`."""
    whole = isinstance(value, (tuple, list)) and all(isinstance(n, int) and not isinstance(n, bool) for n in value)
    return whole and len(value) == 2 and all(1 <= n <= LARGEST_SIDE for n in value)
