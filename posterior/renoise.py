r"""From a clean latent to the next noise level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from .level import Level
from .part import Renoise
from .particles import Particles

__all__ = ["Independent"]


@dataclass(frozen=True)
class Independent(Renoise):
    r""":math:`x = \alpha' z_0 + \sigma' \varepsilon` with fresh noise, as DAPS has it (arXiv 2407.01521).

    Consecutive levels then share nothing but z0, so a step may undo large errors of the one before.
    """

    name: ClassVar[str] = "independent"
    title: ClassVar[str] = "Independent Noise"
    about: ClassVar[str] = "Fresh noise at every level, whatever the step before drew."
    reference: ClassVar[str] = "arXiv 2407.01521"

    def __call__(self, particles: Particles, z0: torch.Tensor, level: Level) -> torch.Tensor:
        """x ``[N, ...]`` at ``level.sigma_next``."""
        x = level.parameterization.alpha(level.sigma_next) * z0
        if level.sigma_next > 0:
            x = x + level.parameterization.noise_deviation(level.sigma_next) * particles.noise(x)
        return x
