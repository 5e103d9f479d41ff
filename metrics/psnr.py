r"""Peak signal-to-noise ratio, :math:`-10\log_{10}` of the mean squared error, for images in [0, 1]."""

from __future__ import annotations

import torch

from .images import check_pair

__all__ = ["flat_image_psnr", "psnr"]


def psnr(images: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """PSNR in dB of each image, ``[N]``, over all its pixels and channels.

    Args:
        images: ``[N, C, H, W]`` in [0, 1]; values outside are taken as they are.
        reference: ``[1, C, H, W]`` or ``[N, C, H, W]``.

    Returns:
        Infinity for an image equal to the reference, NaN for one that holds NaN.

    Raises:
        ValueError: batches that cannot be compared.

    >>> psnr(torch.full((1, 3, 4, 4), 0.6), torch.full((1, 3, 4, 4), 0.5))
    tensor([20.0000])
    """
    images, reference = check_pair(images, reference)
    return -10 * (images - reference).square().flatten(1).mean(1).log10()


def flat_image_psnr(reference: torch.Tensor) -> torch.Tensor:
    """PSNR in dB, ``[N]``, of the flat image that has each reference's mean colour: what knowing nothing but the
    average colour is worth, and so the least that a reconstruction must beat.

    ``reference``: ``[N, C, H, W]`` in [0, 1].
    """
    return psnr(reference.mean(dim=(-2, -1), keepdim=True).expand_as(reference), reference)
