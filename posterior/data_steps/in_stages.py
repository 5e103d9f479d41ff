"""One data step after another, as the noise falls."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch

from ...diffusion.options import option
from ..level import Level
from ..part import DataStep
from ..particles import Particles
from .langevin import Langevin

__all__ = ["InStages"]


@dataclass(frozen=True)
class InStages(DataStep):
    """``first`` down to a noise level, ``then`` below it; either may be in stages itself."""

    name: ClassVar[str] = "in_stages"
    title: ClassVar[str] = "Two Stages"
    about: ClassVar[str] = "One data step at large noise levels, another one at small noise levels."

    sigma: float = option(
        0.3,
        "The second data step takes over below this noise level. For flow models as well in the scale of the others: "
        "sigma/(1 - sigma).",
        minimum=0.0,
        maximum=1000.0,
        step=0.01,
    )
    first: DataStep = field(default_factory=Langevin)
    then: DataStep = field(default_factory=Langevin)

    @property
    def is_active(self) -> bool:
        return self.first.is_active or self.then.is_active

    def phase_at(self, level: Level) -> str | None:
        return self._at(level).phase_at(level)

    def weighted(self, weight: float) -> InStages:
        return replace(self, first=self.first.weighted(weight), then=self.then.weighted(weight))

    def __call__(self, particles: Particles, z0_hat: torch.Tensor, level: Level) -> torch.Tensor:
        """z0 ``[N, ...]``."""
        return self._at(level)(particles, z0_hat, level)

    def _at(self, level: Level) -> DataStep:
        return self.first if level.sigma_ve >= self.sigma * (1 - 1e-6) else self.then

    def to_dict(self) -> dict[str, Any]:
        stages = {"first": self.first, "then": self.then}
        return {"sigma": self.sigma} | {key: {"name": step.name, **step.to_dict()} for key, step in stages.items()}
