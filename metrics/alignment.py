r"""Alignment: the transform, of those that the measurement cannot see, that brings an image closest to a reference.

Phase retrieval cannot tell an object from its twin rotated by 180°, or from itself moved inside an empty frame, so a
perfect reconstruction may score 8 dB. The transforms tried are the operator's exact symmetries and, when it says so,
shifts; never others, or a reconstruction could be flattered.

Shifts are exact symmetries only while the object stays inside its frame. So the reference decides how far an image may
be moved (an object that fills its frame cannot be moved at all), and no shift may push more than ``MOST_LOST`` of the
image's own energy out of the frame. Every shift :math:`s` in that range is compared at once, with :math:`x'` and
:math:`r'` the images minus the background,

.. math:: \|\mathrm{shift}_s(x') - r'\|^2 = \sum_{\mathrm{kept}\ j} x'_j{}^2 + \|r'\|^2 - 2\,(x' \star r')(s),

the first term (what is not pushed out of the frame) from a summed-area table and the last, a cross-correlation, by FFT.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch

from .images import check_pair

__all__ = ["Alignment", "align", "shift_range"]

CHANNEL_NAMES = "RGB"
#: A pixel of the reference belongs to the object when it differs from the background by more than one grey level.
GREY_LEVEL = 2 / 255
#: Share of ‖x'‖² that a shift may push out of the frame: room for noise in a reconstruction's background. By Parseval's
#: theorem the measurement then moves by no more than this share of its own energy.
MOST_LOST = 0.01


class Symmetry(Protocol):
    """``operators.Symmetry``, as far as it is needed here."""

    name: str
    kind: str
    apply: Callable[[torch.Tensor], torch.Tensor]


class Ambiguous(Protocol):
    """``operators.Operator``, as far as it is needed here."""

    symmetries: Sequence[Symmetry]
    shift_symmetric: bool
    background: float


@dataclass(frozen=True)
class Alignment:
    """The aligned images and how each was made.

    images: ``[N, C, H, W]`` in [-1, 1]; a row with NaN is left as it was.
    symmetries: per row the name of the symmetry.
    shifts: ``[N, C, 2]`` whole pixels (down, right), applied after the symmetry; equal in all channels unless the
        per-channel group was used.
    """

    images: torch.Tensor
    symmetries: tuple[str, ...]
    shifts: torch.Tensor

    @property
    def labels(self) -> tuple[str, ...]:
        """Per row, for a table: ``rot180, shift (3, -2)``."""
        return tuple(_label(name, shift) for name, shift in zip(self.symmetries, self.shifts.tolist(), strict=True))


def align(
    images: torch.Tensor,
    reference: torch.Tensor,
    operator: Ambiguous,
    group: Literal["global", "per_channel"] = "global",
) -> Alignment:
    """Bring every image as close to ``reference``, in mean squared error, as the operator's symmetries allow.

    Args:
        images: ``[N, C, H, W]`` in [-1, 1].
        reference: ``[1, C, H, W]`` or ``[N, C, H, W]`` in [-1, 1].
        operator: what was measured; says what it cannot tell apart.
        group: "global" moves all channels alike. "per_channel" also moves them one by one, where the operator measures
            them one by one: a larger group, and colours may come apart, so it is reported separately.

    Raises:
        ValueError: batches that cannot be compared.
    """
    images, reference = check_pair(images, reference)
    reference = reference.expand_as(images)
    symmetries = [s for s in operator.symmetries if group == "per_channel" or s.kind == "global"]
    by_channel = any(s.kind == "per_channel" for s in symmetries)
    ranges = [shift_range(r, operator.background) if operator.shift_symmetric else NO_SHIFT for r in reference]

    best = images.clone()
    names = ["identity"] * len(images)
    shifts = torch.zeros(*images.shape[:2], 2, dtype=torch.long)
    errors = (images - reference).square().flatten(1).sum(1)
    for symmetry in symmetries:
        moved = symmetry.apply(images).clone()
        moves = torch.zeros_like(shifts)
        for row, limits in enumerate(ranges):
            if limits != NO_SHIFT:
                moved[row], moves[row] = _shifted(moved[row], reference[row], limits, operator.background, by_channel)
        error = (moved - reference).square().flatten(1).sum(1)
        # Strictly better: of equals the first, simplest one stays; NaN is never better.
        for row in (error < errors).nonzero().flatten().tolist():
            best[row], names[row], shifts[row] = moved[row], symmetry.name, moves[row]
            errors[row] = error[row]
    return Alignment(best, tuple(names), shifts)


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
    object_ = ((reference - background).abs() > GREY_LEVEL).any(dim=0)
    if not bool(object_.any()):
        return NO_SHIFT  # an empty reference: nothing to align with
    rows, columns = (object_.any(dim=axis).nonzero().flatten() for axis in (1, 0))
    height, width = object_.shape
    above, below = int(rows[0]), height - 1 - int(rows[-1])
    left, right = int(columns[0]), width - 1 - int(columns[-1])
    return below, above, right, left


def _shifted(
    image: torch.Tensor, reference: torch.Tensor, limits: Limits, background: float, by_channel: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """The best shift of ``image`` ``[C, H, W]`` within ``limits``: the shifted image and the moves ``[C, 2]``."""
    errors, kept = _shift_errors(image - background, reference - background, limits)
    if not by_channel:
        errors, kept = (part.sum(0, keepdim=True).expand_as(part) for part in (errors, kept))
    whole = kept[:, limits[0], limits[2]]  # without a shift all of it is kept
    errors = torch.where(kept >= (1 - MOST_LOST) * whole[:, None, None], errors, torch.inf)
    columns = errors.shape[-1]
    best = errors.flatten(1).argmin(dim=1)
    moves = torch.stack([best // columns - limits[0], best % columns - limits[2]], dim=1).cpu()
    shifted = [_shift(channel, dy, dx, background) for channel, (dy, dx) in zip(image, moves.tolist(), strict=True)]
    return torch.stack(shifted), moves


def _shift_errors(image: torch.Tensor, reference: torch.Tensor, limits: Limits) -> tuple[torch.Tensor, torch.Tensor]:
    """Per channel and shift, ``[C, shifts down, shifts right]``: ‖shift(image) − reference‖² − ‖reference‖², and
    ‖shift(image)‖², what the shift keeps inside the frame.
    """
    up, down, left, right = limits
    height, width = image.shape[-2:]
    image, reference = image.double(), reference.double()
    frame = (2 * height, 2 * width)  # twice the size: a shift must not wrap around
    spectrum = torch.fft.rfft2(reference, s=frame) * torch.fft.rfft2(image, s=frame).conj()
    correlation = torch.fft.irfft2(spectrum, s=frame)
    dy = torch.arange(-up, down + 1, device=image.device)
    dx = torch.arange(-left, right + 1, device=image.device)
    correlation = correlation[:, (dy % frame[0])[:, None], dx % frame[1]]

    energy = torch.zeros(image.shape[0], height + 1, width + 1, dtype=image.dtype, device=image.device)
    energy[:, 1:, 1:] = image.square().cumsum(1).cumsum(2)
    top, bottom = (-dy).clamp(min=0)[:, None], (height - dy.clamp(min=0))[:, None]
    first, last = (-dx).clamp(min=0), width - dx.clamp(min=0)
    kept = energy[:, bottom, last] - energy[:, top, last] - energy[:, bottom, first] + energy[:, top, first]
    return kept - 2 * correlation, kept


def _shift(channel: torch.Tensor, dy: int, dx: int, background: float) -> torch.Tensor:
    """``channel`` ``[H, W]`` moved down by dy and right by dx, background moving in."""
    height, width = channel.shape
    moved = torch.full_like(channel, background)
    target = (slice(max(dy, 0), height + min(dy, 0)), slice(max(dx, 0), width + min(dx, 0)))
    source = (slice(max(-dy, 0), height + min(-dy, 0)), slice(max(-dx, 0), width + min(-dx, 0)))
    moved[target] = channel[source]
    return moved


def _label(name: str, moves: list[list[int]]) -> str:
    if all(move == [0, 0] for move in moves):
        return name
    if all(move == moves[0] for move in moves):
        shifts = f"shift ({moves[0][0]}, {moves[0][1]})"
    else:
        channels = CHANNEL_NAMES if len(moves) == len(CHANNEL_NAMES) else range(len(moves))
        shifts = ", ".join(f"shift {c} ({dy}, {dx})" for c, (dy, dx) in zip(channels, moves, strict=True))
    return shifts if name == "identity" else f"{name}, {shifts}"
