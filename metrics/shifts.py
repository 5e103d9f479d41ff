r"""The shift that brings an image closest to a reference, all shifts being compared at once.

A shift leaves a phaseless measurement unchanged only while the object stays inside its frame. So the reference decides
how far an image may be moved (an object that fills its frame cannot be moved at all), and no shift may push more than
``MOST_LOST`` of the image's own energy out of the frame. With :math:`x'` and :math:`r'` the images minus the
background,

.. math:: \|\mathrm{shift}_s(x') - r'\|^2 = \sum_{\mathrm{kept}\ j} x'_j{}^2 + \|r'\|^2 - 2\,(x' \star r')(s),

the first term (what is not pushed out of the frame) from a summed-area table and the last, a cross-correlation, by FFT.
"""

from __future__ import annotations

import torch

__all__ = ["ShiftSearch", "shift_range"]

#: A pixel of the reference belongs to the object when it differs from the background by more than one grey level.
GREY_LEVEL = 2 / 255
#: Share of ||x'||² that a shift may push out of the frame: room for noise in a reconstruction's background. By
#: Parseval's theorem the measurement then moves by no more than this share of its own energy.
MOST_LOST = 0.01

#: The most that may be moved (up, down, left, right).
Limits = tuple[int, int, int, int]
NO_SHIFT: Limits = (0, 0, 0, 0)


def shift_range(reference: torch.Tensor, background: float) -> Limits:
    """How far an image may have to be moved to lie on ``reference``: (most up, most down, most left, most right).

    The reference's object, ``[C, H, W]`` in [-1, 1], has some room on each side. A reconstruction may use up that room,
    and is brought back by the opposite move.

    >>> frame = torch.full((3, 8, 8), -1.0)
    >>> frame[:, 1:3, 4:6] = 1.0  # one free row above, five below; four free columns to the left, two to the right
    >>> shift_range(frame, background=-1.0)
    (5, 1, 2, 4)
    """
    occupied = ((reference - background).abs() > GREY_LEVEL).any(dim=0)
    if not bool(occupied.any()):
        return NO_SHIFT  # an empty reference: nothing to align with
    rows, columns = (occupied.any(dim=axis).nonzero().flatten() for axis in (1, 0))
    height, width = occupied.shape
    above, below = int(rows[0]), height - 1 - int(rows[-1])
    left, right = int(columns[0]), width - 1 - int(columns[-1])
    return below, above, right, left


class ShiftSearch:
    """``best(image)`` for one reference ``[C, H, W]`` in [-1, 1], whose spectrum is computed once."""

    def __init__(self, reference: torch.Tensor, background: float) -> None:
        self._background = background
        self._limits = shift_range(reference, background)
        up, down, left, right = self._limits
        # Large enough for no shift to wrap around, and a multiple of 32, whose transforms are fast.
        height, width = reference.shape[-2:]
        self._frame = tuple(-(-size // 32) * 32 for size in (height + max(up, down), width + max(left, right)))
        self._spectrum = torch.fft.rfft2((reference - background).double(), s=self._frame)

    def best(self, image: torch.Tensor, by_channel: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """``image`` ``[C, H, W]`` in its best place, background moving in, and the moves ``[C, 2]`` (down, right).

        by_channel: every channel is moved by itself; else all alike.
        """
        up, _, left, _ = self._limits
        if self._limits == NO_SHIFT:
            return image, torch.zeros(len(image), 2, dtype=torch.long)
        errors, kept = self._errors((image - self._background).double())
        if not by_channel:
            errors, kept = (part.sum(0, keepdim=True).expand_as(part) for part in (errors, kept))
        whole = kept[:, up, left]  # without a shift all of it is kept
        errors = torch.where(kept >= (1 - MOST_LOST) * whole[:, None, None], errors, torch.inf)
        best = errors.flatten(1).argmin(dim=1)
        columns = errors.shape[-1]
        moves = torch.stack([best // columns - up, best % columns - left], dim=1).cpu()
        shifted = [self._shift(channel, *move) for channel, move in zip(image, moves.tolist(), strict=True)]
        return torch.stack(shifted), moves

    def _errors(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """||shift(x') - r'||² - ||r'||² and ||shift(x')||² per channel and shift, each ``[C, down, right]``."""
        up, down, left, right = self._limits
        height, width = image.shape[-2:]
        dy = torch.arange(-up, down + 1, device=image.device)
        dx = torch.arange(-left, right + 1, device=image.device)
        spectrum = self._spectrum * torch.fft.rfft2(image, s=self._frame).conj()
        correlation = torch.fft.irfft2(spectrum, s=self._frame)
        correlation = correlation[:, (dy % self._frame[0])[:, None], dx % self._frame[1]]

        energy = torch.zeros(image.shape[0], height + 1, width + 1, dtype=image.dtype, device=image.device)
        energy[:, 1:, 1:] = image.square().cumsum(1).cumsum(2)
        top, bottom = (-dy).clamp(min=0)[:, None], (height - dy.clamp(min=0))[:, None]
        first, last = (-dx).clamp(min=0), width - dx.clamp(min=0)
        kept = energy[:, bottom, last] - energy[:, top, last] - energy[:, bottom, first] + energy[:, top, first]
        return kept - 2 * correlation, kept

    def _shift(self, channel: torch.Tensor, dy: int, dx: int) -> torch.Tensor:
        """``channel`` ``[H, W]`` moved down by dy and right by dx."""
        height, width = channel.shape
        moved = torch.full_like(channel, self._background)
        target = (slice(max(dy, 0), height + min(dy, 0)), slice(max(dx, 0), width + min(dx, 0)))
        source = (slice(max(-dy, 0), height + min(-dy, 0)), slice(max(-dx, 0), width + min(-dx, 0)))
        moved[target] = channel[source]
        return moved
