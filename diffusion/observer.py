"""Observers: who is told what a run does.

The mathematics of this pack writes no file, counts nothing and knows no host; it speaks to an :class:`Observer`. The
record of a run, a live view and the host's cancel button are observers, and so is whatever a caller wants to hear.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

__all__ = ["SILENT", "Observer", "Observers"]


class Observer:
    """The base class hears everything and does nothing; a subclass extends what it is interested in.

    listens: whether every step's residuals and images are wanted. They cost one decode per particle and step, so a
        run that nobody looks at does without.
    """

    listens: bool = False

    def plan(self, phases: Sequence[str]) -> None:
        """The run begins; these phases will come."""

    def enter(self, phase: str) -> None:
        """From now on the run is in this phase, until the next one or :meth:`leave`."""

    def leave(self) -> None:
        """The phase is over, and the run with it."""

    def part(self, name: str) -> None:
        """From now on this part of the method works: the estimate, the data step, a move, repulsion; until the next."""

    def count(self, denoiser: int = 0, decoder_forward: int = 0, decoder_backward: int = 0, encoder: int = 0) -> None:
        """So many passes through the networks were made, counted per particle: a batch of 4 is 4."""

    def step(self, i: int, sigma: float | None, phase: str | None = None, **facts: Any) -> None:
        """What the parts of step ``i`` report: numbers, or one number per particle."""

    def images(self, particles: Sequence[int], images: torch.Tensor) -> None:
        """The particles as they are now: their names, and images ``[N, 3, H, W]`` in [-1, 1]."""

    def final(self, particles: Sequence[int], residual: torch.Tensor, blind: int | None = None) -> None:
        """The residuals ``[N]`` of what the run returns, and the particle that it chose, where it chose one."""

    def raise_if_cancelled(self) -> None:
        """Asked before every iteration; an exception raised here ends the run."""


#: Nobody is listening.
SILENT = Observer()


class Observers(Observer):
    """Several observers as one: each is told, in their order."""

    def __init__(self, *observers: Observer) -> None:
        self.observers = observers

    @property
    def listens(self) -> bool:  # type: ignore[override]
        """Whether any of them does."""
        return any(each.listens for each in self.observers)

    def plan(self, phases: Sequence[str]) -> None:
        for each in self.observers:
            each.plan(phases)

    def enter(self, phase: str) -> None:
        for each in self.observers:
            each.enter(phase)

    def leave(self) -> None:
        for each in self.observers:
            each.leave()

    def part(self, name: str) -> None:
        for each in self.observers:
            each.part(name)

    def count(self, denoiser: int = 0, decoder_forward: int = 0, decoder_backward: int = 0, encoder: int = 0) -> None:
        for each in self.observers:
            each.count(denoiser, decoder_forward, decoder_backward, encoder)

    def step(self, i: int, sigma: float | None, phase: str | None = None, **facts: Any) -> None:
        for each in self.observers:
            each.step(i, sigma, phase, **facts)

    def images(self, particles: Sequence[int], images: torch.Tensor) -> None:
        for each in self.observers:
            each.images(particles, images)

    def final(self, particles: Sequence[int], residual: torch.Tensor, blind: int | None = None) -> None:
        for each in self.observers:
            each.final(particles, residual, blind)

    def raise_if_cancelled(self) -> None:
        for each in self.observers:
            each.raise_if_cancelled()
