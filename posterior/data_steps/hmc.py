r"""Under-damped Langevin dynamics on the target of ``chain.py``, which the official DAPS code calls HMC:

.. math:: v \leftarrow m v + \sqrt\eta\, \nabla \log p(z) + \sqrt{2(1-m)}\, \varepsilon, \qquad
          z \leftarrow z + \sqrt\eta\, v,

from a standard normal velocity. There is no accept step, so it is no Hamiltonian Monte Carlo in the strict sense.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from ...diffusion.options import option
from ..level import Level
from ..particles import Particles
from .chain import Chain

__all__ = ["HMC"]


@dataclass(frozen=True)
class HMC(Chain):
    """An under-damped chain from the estimate."""

    name: ClassVar[str] = "hmc"
    title: ClassVar[str] = "HMC"
    about: ClassVar[str] = (
        "At every noise level an under-damped chain, which keeps a part of its velocity, moves the model's estimate "
        "until its picture agrees with the measurement."
    )
    aliases: ClassVar[tuple[str, ...]] = ("DAPS", "MCMC", "chain", "momentum", "Hamiltonian")
    reference: ClassVar[str] = "arXiv 2407.01521"

    momentum: float = option(
        0.41, "Share of the velocity that a step keeps. 0.9 and more: long straight moves.", minimum=0.0, maximum=0.999,
        step=0.01,
    )  # fmt: skip

    def __call__(self, particles: Particles, z0_hat: torch.Tensor, level: Level) -> torch.Tensor:
        """z0 ``[N, ...]``, the chain's last state."""
        if not self.is_active:
            return z0_hat
        target, eta = self.target(z0_hat, level), self.step_size_at(level.i, level.steps)
        drag = math.sqrt(2 * (1 - self.momentum))
        z, v = z0_hat, particles.noise(z0_hat)
        for _ in range(self.steps):
            level.observer.raise_if_cancelled()
            v = self.momentum * v + math.sqrt(eta) * target.score(z) + drag * particles.noise(z)
            z = z + particles.free(math.sqrt(eta) * v)
        return target.set_back(z, particles, level)
