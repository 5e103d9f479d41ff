"""What every metric asks of its two image batches."""

from __future__ import annotations

import torch

__all__ = ["check_batch", "check_pair", "finite_rows", "unit_range"]


def check_batch(images: torch.Tensor, name: str) -> torch.Tensor:
    """``images`` as float32 (float64 stays), after checking that it is a batch ``[N, C, H, W]`` with N >= 1.

    Raises:
        ValueError: anything else, in one sentence.
    """
    if not isinstance(images, torch.Tensor) or images.ndim != 4:
        found = list(images.shape) if isinstance(images, torch.Tensor) else type(images).__name__
        raise ValueError(f"{name} is {found}; it must be a tensor [N, C, H, W].")
    if 0 in images.shape:
        raise ValueError(f"{name} is empty (shape {list(images.shape)}); give at least one image.")
    if not images.is_floating_point():
        raise ValueError(f"{name} has dtype {images.dtype}; convert it to float first.")
    return images if images.dtype == torch.float64 else images.float()


def check_pair(images: torch.Tensor, reference: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Both batches, checked, on the device and in the precision of ``images``; one reference may serve many images.

    Raises:
        ValueError: sizes, channels or batches that cannot be compared.
    """
    images, reference = check_batch(images, "images"), check_batch(reference, "reference")
    if images.shape[1] != reference.shape[1]:
        raise ValueError(
            f"the images have {images.shape[1]} channels and the reference has {reference.shape[1]}; "
            "convert both to RGB."
        )
    if images.shape[-2:] != reference.shape[-2:]:
        ours, theirs = (f"{batch.shape[-1]}×{batch.shape[-2]}" for batch in (images, reference))
        raise ValueError(
            f"the images are {ours} (width × height) and the reference is {theirs}; resize or crop the reference "
            f"to {ours}: comparing needs pixels that correspond."
        )
    if len(reference) not in (1, len(images)):
        raise ValueError(
            f"there are {len(images)} images and {len(reference)} references; give one reference, or one per image."
        )
    return images, reference.to(images)


def unit_range(images: torch.Tensor) -> torch.Tensor:
    """From the pack's [-1, 1] to [0, 1], clamped as a saved picture is; NaN stays NaN."""
    return (images * 0.5 + 0.5).clamp(0, 1)


def finite_rows(images: torch.Tensor) -> torch.Tensor:
    """``[N]`` booleans: rows without NaN or infinity."""
    return images.isfinite().flatten(1).all(dim=1)
