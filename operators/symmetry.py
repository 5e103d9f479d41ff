r"""What a phaseless measurement cannot tell apart.

For a real object u inside its frame, :math:`|F(u)|` is unchanged, exactly, by

* a rotation by 180°: :math:`F` of it is the conjugate of :math:`F(u)` times a phase;
* a change of sign: only a symmetry *of images* when the signal is kept in [-1, 1], where the negative is an image too
  (in [0, 1] the negative object is no image);
* a shift, while the object stays inside the frame: :math:`F` of it is :math:`F(u)` times a phase.

When each channel is measured by itself every one of these can happen to one channel and not to another, which gives
:math:`2^C` rotations, :math:`4^C` with signs. Clipping negative amplitudes, intensities instead of amplitudes and
dead pixels change nothing about this: they act on :math:`|F(u)|`, which is already the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import Literal

import torch

__all__ = ["IDENTITY", "Symmetry", "phaseless_symmetries", "rot180", "shift_image"]

CHANNEL_NAMES = ("R", "G", "B")


@dataclass(frozen=True)
class Symmetry:
    """An image transform that leaves the measurement unchanged. Calling it applies it.

    name: for tables, for example ``rot180`` or ``rot180 R, negative B``.
    scope: ``global`` (all channels alike: still the same picture to a person) or ``per_channel``.
    apply: ``[N, C, H, W]`` in [-1, 1] to the same shape.
    """

    name: str
    scope: Literal["global", "per_channel"]
    apply: Callable[[torch.Tensor], torch.Tensor] = field(repr=False, compare=False)

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        return self.apply(image)


@dataclass(frozen=True)
class _ChannelWise:
    """One of the four moves per channel. A class rather than a closure, so that symmetries can be pickled."""

    moves: tuple[str, ...]

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        if len(set(self.moves)) == 1:
            return _MOVES[self.moves[0]](image)
        if image.shape[1] != len(self.moves):
            raise ValueError(
                f"this symmetry moves {len(self.moves)} channels one by one, but the image has {image.shape[1]}."
            )
        return torch.cat([_MOVES[move](image[:, c : c + 1]) for c, move in enumerate(self.moves)], dim=1)


def rot180(image: torch.Tensor) -> torch.Tensor:
    """``image`` turned by 180° in its plane."""
    return image.flip((-2, -1))


_MOVES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "identity": lambda image: image,
    "rot180": rot180,
    "negative": torch.neg,
    "rot180 negative": lambda image: -rot180(image),
}

IDENTITY = Symmetry("identity", "global", _ChannelWise(("identity",)))


def phaseless_symmetries(channels: int, signed: bool = False, separate: bool = True) -> tuple[Symmetry, ...]:
    """All of them: the identity first, then the global ones, then the per-channel combinations.

    Args:
        channels: channels C of the image.
        signed: the signal is kept in [-1, 1], so a negative is an image as well.
        separate: each channel is measured by itself; False when the detector sees only their mean.

    >>> [s.name for s in phaseless_symmetries(3)]  # doctest: +NORMALIZE_WHITESPACE
    ['identity', 'rot180', 'rot180 R', 'rot180 G', 'rot180 B', 'rot180 R, rot180 G', 'rot180 R, rot180 B',
     'rot180 G, rot180 B']
    >>> len(phaseless_symmetries(3, signed=True)), len(phaseless_symmetries(3, separate=False))
    (64, 2)
    """
    moves = ["identity", "rot180", *(["negative", "rot180 negative"] if signed else [])]
    names = CHANNEL_NAMES if channels == len(CHANNEL_NAMES) else tuple(f"channel {c}" for c in range(channels))
    found = [IDENTITY, *(Symmetry(move, "global", _ChannelWise((move,) * channels)) for move in moves[1:])]
    if separate:
        mixed = [combination for combination in product(moves, repeat=channels) if len(set(combination)) > 1]
        # Fewest moved channels first, so that a table naming the first of equals names the simplest.
        mixed.sort(
            key=lambda combination: [channels - combination.count("identity"), *map("identity".__eq__, combination)]
        )
        for combination in mixed:
            moved = [f"{move} {name}" for move, name in zip(combination, names, strict=True) if move != "identity"]
            found.append(Symmetry(", ".join(moved), "per_channel", _ChannelWise(combination)))
    return tuple(found)


def shift_image(image: torch.Tensor, dy: int, dx: int, background: float) -> torch.Tensor:
    """``image`` ``[..., H, W]`` moved down by ``dy`` and right by ``dx``, ``background`` moving in at the border.

    The measurement is unchanged when nothing but background leaves the frame (``Operator.background``: the image value
    whose signal is zero).

    >>> shift_image(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, 0, background=-1.0)
    tensor([[-1., -1.],
            [ 1.,  2.]])
    """
    height, width = image.shape[-2:]
    moved = torch.full_like(image, background)
    target = (slice(max(dy, 0), height + min(dy, 0)), slice(max(dx, 0), width + min(dx, 0)))
    source = (slice(max(-dy, 0), height + min(-dy, 0)), slice(max(-dx, 0), width + min(-dx, 0)))
    moved[..., target[0], target[1]] = image[..., source[0], source[1]]
    return moved
