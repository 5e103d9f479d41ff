r"""A diffraction pattern of a real object, folded: each frequency once, with both of its recordings.

A real object has :math:`U(-k) = \overline{U(k)}`, so y(k) and y(-k) are two recordings of one amplitude, and half of
the transform is enough: ``rfft2``, which takes half of the time. Here zero frequency lies at index 0, as transforms
have it, not in the middle, as detectors show it.
"""

from __future__ import annotations

import math

import torch

from .fourier import padding
from .measurement import Measurement

__all__ = ["HalfSpectrum"]


class HalfSpectrum:
    """The frame, its transform, and the recorded amplitudes ``[C, h, w // 2 + 1]``, zero frequency first.

    first, second: the recordings at k and at -k; 0 where they are dead.
    valid_first, valid_second: 1 where they are not dead.
    recorded: how many of the two are valid: 0, 1 or 2.
    mean: of those that are; 0 where noise has made it negative, which no amplitude is.
    copies: ``[h, w // 2 + 1]``, of how many entries of the whole spectrum each stands for (2, or 1 at the edges).
    """

    def __init__(self, amplitudes: torch.Tensor, mask: torch.Tensor | None, image_shape: tuple[int, int]) -> None:
        """``amplitudes`` ``[1, C, h, w]`` and ``mask`` (1 = valid) as detectors show them."""
        y = torch.fft.ifftshift(amplitudes[0], dim=(-2, -1))
        valid = torch.ones_like(y) if mask is None else torch.fft.ifftshift(mask[0], dim=(-2, -1)).to(y)
        self.frame = (y.shape[-2], y.shape[-1])
        self.image_shape = image_shape
        self.first, self.second = self._folded(y * valid)
        self.valid_first, self.valid_second = self._folded(valid)
        self.recorded = self.valid_first + self.valid_second
        self.mean = ((self.first + self.second) / self.recorded.clamp_min(1)).clamp_min(0)
        self.copies = self._copies(y)

    @classmethod
    def of(cls, measurement: Measurement, amplitudes: torch.Tensor) -> HalfSpectrum:
        """That of a measurement whose amplitudes are these."""
        return cls(amplitudes, measurement.mask, measurement.image_shape)

    def transform(self, u: torch.Tensor) -> torch.Tensor:
        """F(pad(u)) of objects ``[N, C, H, W]``, complex ``[N, C, h, w // 2 + 1]``, orthonormal over the frame."""
        rows, columns = (padding(n, outer) for n, outer in zip(self.image_shape, self.frame, strict=True))
        return torch.fft.rfft2(torch.nn.functional.pad(u, (*columns, *rows)), norm="ortho")

    def adjoint(self, spectrum: torch.Tensor) -> torch.Tensor:
        """crop(F^-1(spectrum)), objects ``[N, C, H, W]``: the adjoint of :meth:`transform` over the whole spectrum."""
        top, left = (padding(n, outer)[0] for n, outer in zip(self.image_shape, self.frame, strict=True))
        u = torch.fft.irfft2(spectrum, s=self.frame, norm="ortho")
        return u[..., top : top + self.image_shape[0], left : left + self.image_shape[1]]

    def radius(self) -> torch.Tensor:
        """The distance of every frequency from zero, ``[h, w // 2 + 1]``, in samples of a square frame of this area."""
        h, w = self.frame
        rows, columns = torch.fft.fftfreq(h)[:, None], torch.fft.rfftfreq(w)[None]
        return ((rows.square() + columns.square()).sqrt() * math.sqrt(h * w)).to(self.mean.device)

    def _folded(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The values at k and at -k of the half that a real transform has."""
        half = self.frame[1] // 2 + 1
        reflected = values.flip((-2, -1)).roll((1, 1), (-2, -1))
        return values[..., :half].contiguous(), reflected[..., :half].contiguous()

    def _copies(self, like: torch.Tensor) -> torch.Tensor:
        h, w = self.frame
        copies = like.new_full((h, w // 2 + 1), 2.0)
        copies[:, 0] = 1  # both members of these pairs are in the half, in different rows
        if w % 2 == 0:
            copies[:, -1] = 1
        return copies
