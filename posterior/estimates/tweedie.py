r"""Tweedie's formula: one call of the denoiser, :math:`\hat z_0 = D(x; \sigma) = E[z_0 | x]`.

It is the posterior mean under the prior, blurred where the model is undecided; a data step that knows how wrong a
picture is can take it as it is, at half the calls of an ODE.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ..level import Level
from ..part import Estimate
from ..particles import Particles

__all__ = ["Tweedie"]


@dataclass(frozen=True)
class Tweedie(Estimate):
    """The denoiser's output."""

    name: ClassVar[str] = "tweedie"
    title: ClassVar[str] = "Denoised"
    about: ClassVar[str] = (
        "The clean estimate of every noise level, by one call of the model: the mean of what it may be."
    )
    aliases: ClassVar[tuple[str, ...]] = ("Tweedie", "denoise", "x0", "posterior mean")
    reference: ClassVar[str] = "Robbins 1956; Efron 2011"

    def __call__(self, particles: Particles, level: Level) -> torch.Tensor:
        """z0_hat ``[N, ...]``."""
        return particles.denoise(particles.x, level.sigma)
