"""How far apart two pictures are for a measurement: after the best symmetry that it cannot see."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...operators import Symmetry

__all__ = ["rms_of_psnr", "symmetric_distance"]


def rms_of_psnr(psnr: float) -> float:
    """The root-mean-square difference of two images in [-1, 1] that are this many dB apart: their range is 2."""
    return 2 * 10 ** (-psnr / 20)


def symmetric_distance(
    images: torch.Tensor, symmetries: Sequence[Symmetry], shifts: bool = False, background: float = -1.0
) -> torch.Tensor:
    """The root-mean-square difference of every two images after the best symmetry, ``[N, N]``, on the CPU.

    Rows with NaN have NaN distances.

    Args:
        images: ``[N, C, H, W]`` in [-1, 1].
        symmetries: of the operator; the identity alone gives the plain distance.
        shifts: also after the best shift by whole pixels, ``background`` coming in from the border.
        background: the image value whose signal is zero.
    """
    images = images.cpu().double() - background  # once a run, and energies minus overlaps cancel
    squared = _squared_over_shifts if shifts else _squared
    best = torch.stack([squared(symmetry(images + background) - background, images) for symmetry in symmetries]).amin(0)
    # A symmetry need not be its own inverse to rounding.
    best = torch.minimum(best, best.T).clamp_min(0)
    return best.sqrt().fill_diagonal_(0.0)


def _squared(moved: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Mean squared differences of every two, ``[N, N]``."""
    return torch.stack([(row - images).square().flatten(1).mean(1) for row in moved])


def _squared_over_shifts(moved: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """The same after the best shift of the first."""
    spectrum, energy = _spectrum(images), images.square().flatten(1).sum(1)
    overlap = torch.stack([_largest_overlap(row, spectrum, images.shape) for row in _spectrum(moved)])
    return (energy[:, None] + energy[None, :] - 2 * overlap) / images[0].numel()


def _spectrum(images: torch.Tensor) -> torch.Tensor:
    """Fourier transforms in a frame twice as large, in which a shift does not wrap around."""
    height, width = images.shape[-2:]
    return torch.fft.rfft2(images, s=(2 * height, 2 * width))


def _largest_overlap(row: torch.Tensor, spectrum: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """max over shifts of <shifted row, image> for every image, ``[N]``."""
    frame = (2 * shape[-2], 2 * shape[-1])
    correlation = torch.fft.irfft2((row.conj() * spectrum).sum(1), s=frame)
    return correlation.flatten(1).amax(1)
