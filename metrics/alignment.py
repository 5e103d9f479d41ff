r"""Alignment: the transform, of those that the measurement cannot see, that brings an image closest to a reference.

Phase retrieval cannot tell an object from its twin rotated by 180°, or from itself moved inside an empty frame, so a
perfect reconstruction may score 8 dB. The transforms tried are the operator's exact symmetries and, when it says so,
shifts; never others, or a reconstruction could be flattered.

Shifts are exact symmetries only while the object stays inside its frame; ``shifts.py`` says which ones are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch

from .images import check_pair
from .shifts import ShiftSearch

__all__ = ["Alignment", "align"]

CHANNEL_NAMES = "RGB"


class Symmetry(Protocol):
    """``operators.Symmetry``, as far as it is needed here."""

    name: str
    scope: str
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
    symmetries = [s for s in operator.symmetries if group == "per_channel" or s.scope == "global"]
    by_channel = any(s.scope == "per_channel" for s in symmetries)
    searches = [ShiftSearch(row, operator.background) for row in reference] if operator.shift_symmetric else []

    best = images.clone()
    names = ["identity"] * len(images)
    shifts = torch.zeros(*images.shape[:2], 2, dtype=torch.long)
    errors = (images - reference).square().flatten(1).sum(1)
    for symmetry in symmetries:
        moved = symmetry.apply(images).clone()
        moves = torch.zeros_like(shifts)
        for row, search in enumerate(searches):
            moved[row], moves[row] = search.best(moved[row], by_channel)
        error = (moved - reference).square().flatten(1).sum(1)
        # Strictly better: of equals the first, simplest one stays; NaN is never better.
        for row in (error < errors).nonzero().flatten().tolist():
            best[row], names[row], shifts[row] = moved[row], symmetry.name, moves[row]
            errors[row] = error[row]
    return Alignment(best, tuple(names), shifts)


def _label(name: str, moves: list[list[int]]) -> str:
    if all(move == [0, 0] for move in moves):
        return name
    if all(move == moves[0] for move in moves):
        shifts = f"shift ({moves[0][0]}, {moves[0][1]})"
    else:
        channels = CHANNEL_NAMES if len(moves) == len(CHANNEL_NAMES) else range(len(moves))
        shifts = ", ".join(f"shift {c} ({dy}, {dx})" for c, (dy, dx) in zip(channels, moves, strict=True))
    return shifts if name == "identity" else f"{name}, {shifts}"
