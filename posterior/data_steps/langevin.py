r"""Unadjusted Langevin dynamics on the target of ``chain.py`` (Welling & Teh 2011; in DAPS: arXiv 2407.01521):

.. math:: z \leftarrow z + \eta\, \nabla \log p(z) + \sqrt{2\eta}\, \varepsilon .
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from ..level import Level
from ..particles import Particles
from .chain import Chain

__all__ = ["Langevin"]


@dataclass(frozen=True)
class Langevin(Chain):
    """A Langevin chain from the estimate."""

    name: ClassVar[str] = "langevin"
    title: ClassVar[str] = "Langevin"
    about: ClassVar[str] = (
        "At every noise level a Langevin chain moves the model's estimate until its picture agrees with the "
        "measurement."
    )
    aliases: ClassVar[tuple[str, ...]] = ("DAPS", "MCMC", "chain", "likelihood")
    reference: ClassVar[str] = "arXiv 2407.01521"

    def __call__(self, particles: Particles, z0_hat: torch.Tensor, level: Level) -> torch.Tensor:
        """z0 ``[N, ...]``, the chain's last state."""
        if not self.is_active:
            return z0_hat
        target, eta = self.target(z0_hat, level), self.step_size_at(level.i, level.steps)
        z = z0_hat
        for _ in range(self.steps):
            level.observer.raise_if_cancelled()
            z = z + particles.free(eta * target.score(z) + math.sqrt(2 * eta) * particles.noise(z))
        return target.set_back(z, particles, level)
