"""A method: what fills the four sockets of the loop. DAPS and its kin are settings of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .data_steps.langevin import Langevin
from .decoding import Decoding
from .estimates.probability_flow import ProbabilityFlow
from .level import Level
from .moves.pruning import Pruning
from .part import DataStep, Estimate, Move, Renoise
from .renoise import Independent

__all__ = ["Method"]


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

    def phases(self, levels: Iterable[Level], count: int) -> list[str]:
        """The phases that a run of ``count`` particles through ``levels`` enters, in the order of their beginnings."""
        found: dict[str | None, None] = {"explore": None}
        for level in levels:
            chain = "refine" if Pruning.phase in found else "explore"
            moves = [move.phase for move in self.moves if move.is_due(level) and move.is_for(count)]
            found |= dict.fromkeys([chain, self.data_step.phase_at(level), *moves])
        return [phase for phase in found if phase is not None]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the run's record: of each part its name and its options; a second move of a name is "2"."""
        moves: dict[str, Any] = {}
        for move in self.moves:
            twins = sum(isinstance(other, type(move)) for other in self.moves[: self.moves.index(move)])
            moves[f"{move.name} {twins + 1}" if twins else move.name] = move.to_dict()
        parts = {"estimate": self.estimate, "data_step": self.data_step, "renoise": self.renoise}
        return {
            **{socket: {"name": part.name, **part.to_dict()} for socket, part in parts.items()},
            "moves": moves,
            **self.decoding.to_dict(),
        }
