r"""Structural similarity (Wang, Bovik, Sheikh and Simoncelli, IEEE TIP 13(4), 2004), for images in [0, 1].

.. math:: \mathrm{SSIM} = \frac{(2\mu_a\mu_b + c_1)(2\sigma_{ab} + c_2)}
                               {(\mu_a^2 + \mu_b^2 + c_1)(\sigma_a^2 + \sigma_b^2 + c_2)}

with local means, variances and covariance under an 11 × 11 Gaussian window of width 1.5, :math:`c_1 = 0.01^2`,
:math:`c_2 = 0.03^2`. Averaged over the places where the whole window fits and over the channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from .images import check_pair

__all__ = ["ssim"]

WINDOW, WIDTH = 11, 1.5
C1, C2 = 0.01**2, 0.03**2


def ssim(images: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """SSIM of each image, ``[N]``: 1 for an image equal to the reference, about 0 for an unrelated one.

    Args:
        images: ``[N, C, H, W]`` in [0, 1].
        reference: ``[1, C, H, W]`` or ``[N, C, H, W]``.

    Raises:
        ValueError: batches that cannot be compared, or images smaller than the window.
    """
    images, reference = check_pair(images, reference)
    if min(images.shape[-2:]) < WINDOW:
        raise ValueError(
            f"the images are {images.shape[-1]}×{images.shape[-2]}; SSIM needs at least {WINDOW} pixels each way."
        )
    a, b = images, reference.expand_as(images)
    mean_a, mean_b = local_mean(a), local_mean(b)
    variance_a = local_mean(a * a) - mean_a**2
    variance_b = local_mean(b * b) - mean_b**2
    covariance = local_mean(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    structure = (2 * covariance + C2) / (variance_a + variance_b + C2)
    return (luminance * structure).flatten(1).mean(1)


def local_mean(x: torch.Tensor) -> torch.Tensor:
    """The Gaussian-weighted mean around every place where the window fits: ``[N, C, H - 10, W - 10]``."""
    offsets = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    kernel = (-(offsets**2) / (2 * WIDTH**2)).exp()
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, 1, WINDOW)
    x = F.conv2d(x, kernel, groups=x.shape[1])
    return F.conv2d(x, kernel.transpose(-1, -2), groups=x.shape[1])
