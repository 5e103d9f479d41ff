"""A method: what fills the four sockets of the loop. DAPS and its kin are settings of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch

from ..diffusion.options import Options
from .data_steps.langevin import Langevin
from .decoding import Decoding
from .estimates.probability_flow import ProbabilityFlow
from .level import Level
from .particles import Particles
from .renoise import Independent

__all__ = ["DataStep", "Estimate", "Method", "Move", "Renoise"]


class Estimate(Protocol):
    """The prior's clean latents at a noise level."""

    name: str

    def __call__(self, particles: Particles, level: Level) -> torch.Tensor:
        """z0_hat ``[N, ...]`` from ``particles.x``."""
        ...


class DataStep(Protocol):
    """What the measurement makes of an estimate."""

    name: str

    def __call__(self, particles: Particles, z0_hat: torch.Tensor, level: Level) -> torch.Tensor:
        """z0 ``[N, ...]``."""
        ...


@runtime_checkable
class Move(Protocol):
    """What happens to the particles after the data step, at the levels at which it is due."""

    name: str

    def is_due(self, level: Level) -> bool:
        """Whether it happens at this level."""
        ...

    def __call__(self, particles: Particles, z0: torch.Tensor, level: Level) -> torch.Tensor:
        """z0 after the move; fewer rows when particles were dropped (``particles.keep``)."""
        ...


class Renoise(Protocol):
    """From clean latents to the next noise level."""

    name: str

    def __call__(self, particles: Particles, z0: torch.Tensor, level: Level) -> torch.Tensor:
        """x ``[N, ...]`` at ``level.sigma_next``."""
        ...


@dataclass(frozen=True)
class Method:
    """The parts of a posterior sampler; any of them may be replaced (``dataclasses.replace``).

    decoding: how the data step and the moves decode.
    """

    estimate: Estimate = field(default_factory=ProbabilityFlow)
    data_step: DataStep = field(default_factory=Langevin)
    moves: Sequence[Move] = ()
    renoise: Renoise = field(default_factory=Independent)
    decoding: Decoding = field(default_factory=Decoding)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the run's record: of each part its name and its options."""
        moves: dict[str, Any] = {}
        for move in self.moves:
            twin = sum(key.split(" ")[0] == move.name for key in moves)
            moves[f"{move.name} {twin + 1}" if twin else move.name] = _options(move)
        return {
            **{key: {"name": part.name} | _options(part) for key, part in self._parts().items()},
            "moves": moves,
            **self.decoding.to_dict(),
        }

    def _parts(self) -> dict[str, Any]:
        return {"estimate": self.estimate, "data_step": self.data_step, "renoise": self.renoise}


def _options(part: Any) -> dict[str, Any]:
    return part.to_dict() if isinstance(part, Options) else {}
