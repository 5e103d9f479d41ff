"""The parts of a method: settings that fill the sockets of the loop.

Each is a frozen dataclass of options that can be called; a node, its help and its translations are made from it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, TypeVar

import torch

from ..diffusion.options import Options
from .interaction.repulsion import Repulsion
from .level import Level
from .particles import Particles

__all__ = ["DataStep", "Estimate", "Move", "Part", "Renoise"]

AnyDataStep = TypeVar("AnyDataStep", bound="DataStep")


class Part(Options):
    """Base of all parts.

    name: in records, in presets and in the id of its node. title: of its node, for people.
    about: what it does, in one or two sentences. aliases: words by which the editor's search finds it.
    reference: where it comes from.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    about: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    reference: ClassVar[str] = ""


class Estimate(Part, ABC):
    """What the prior takes for the clean latents at a noise level.

    repulsion: how its particles push each other apart; None where they do not.
    """

    repulsion: Repulsion | None = None

    @abstractmethod
    def __call__(self, particles: Particles, level: Level) -> torch.Tensor:
        """z0_hat ``[N, ...]`` from ``particles.x``."""

    def repelled(self, repulsion: Repulsion) -> Estimate:  # noqa: ARG002 - for those that can
        """The same with particles that push each other apart.

        Raises:
            ValueError: an estimate that has no place for a force.
        """
        raise ValueError(f"{self.title} knows no repulsion; disconnect the repulsion input, or use Probability Flow.")


class DataStep(Part, ABC):
    """What the measurement makes of an estimate."""

    @abstractmethod
    def __call__(self, particles: Particles, z0_hat: torch.Tensor, level: Level) -> torch.Tensor:
        """z0 ``[N, ...]``."""

    @property
    def is_active(self) -> bool:
        """Whether it does anything with its numbers."""
        return True

    def phase_at(self, level: Level) -> str | None:  # noqa: ARG002 - for those that have one
        """The phase of the run that it enters at this level; None where it stays in the step's own."""
        return None

    def weighted(self: AnyDataStep, weight: float) -> AnyDataStep:
        """The same with the measurement's weight multiplied; at 0 only the prior is left.

        Raises:
            ValueError: a weight other than 1, where a data step has none.
        """
        if weight != 1.0:
            raise ValueError(f"measurement_weight is {weight:g}, but {self.title} has no weight; set it to 1.")
        return self


class Move(Part, ABC):
    """What happens to the particles after the data step, at the levels at which it is due.

    phase: of the run, which it enters; None if it stays in the step's own.
    """

    phase: ClassVar[str | None] = None

    @abstractmethod
    def is_due(self, level: Level) -> bool:
        """Whether it happens at this level."""

    def is_for(self, count: int) -> bool:  # noqa: ARG002 - for those that need a number
        """Whether it does anything with so many particles."""
        return True

    @abstractmethod
    def __call__(self, particles: Particles, z0: torch.Tensor, level: Level) -> torch.Tensor:
        """z0 after the move; fewer rows when particles were dropped (``particles.keep``)."""


class Renoise(Part, ABC):
    """From clean latents to the next noise level."""

    @abstractmethod
    def __call__(self, particles: Particles, z0: torch.Tensor, level: Level) -> torch.Tensor:
        """x ``[N, ...]`` at ``level.sigma_next``."""
