r"""Repulsion: the force of ``forces.py`` as a term of the score.

It changes the right-hand side of the probability-flow ODE, d = (x - D)/sigma = -sigma · score, in VE coordinates:

* normalised: d' = d - rho(sigma) · rms(d) · r/rms(r). The change is a known share of the score on every model.
* raw: score' = score + s(sigma) · r, hence d' = d - s(sigma) · sigma · r, as published (arXiv 2406.16683).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch

from ...diffusion.options import Options, option, option_like
from ...diffusion.parameterization import Parameterization
from ...diffusion.tensors import per_row, rms
from ..decoding import MICRO_BATCH
from ..level import Level
from ..particles import Particles
from .forces import repulsion

__all__ = ["MODES", "SCHEDULES", "Repulsion", "RepulsionAtLevel", "repel", "repel_denoised"]

MODES = ("normalised", "raw")
SCHEDULES = ("linear", "cosine")


@dataclass(frozen=True)
class Repulsion(Options):
    """How strongly particles repel each other, and until when."""

    name: ClassVar[str] = "repulsion"

    strength: float = option(
        0.04,
        "normalised: share of the model's own direction, usually 0.02 to 0.06. raw: factor on the force (published as "
        "repulsion_scale: 10 and less change little, 50 destroys the pictures). 0: off.",
        minimum=0.0,
        maximum=100_000.0,
        step=0.005,
    )
    mode: str = option(
        "normalised",
        "normalised: the strength is a share of the model's own direction, the same on every model. raw: it multiplies "
        "the force, as published; its effect depends on model and noise level.",
        choices=MODES,
    )
    schedule: str = option(
        "linear",
        "How the strength fades, in the logarithm of sigma. cosine: stays high longer, then soft.",
        choices=SCHEDULES,
        advanced=True,
    )
    sigma_break: float = option(
        0.3,
        "Noise level at which the repulsion has faded out, so that details are finished undisturbed. For flow models "
        "as well in the scale of the others: sigma/(1 - sigma).",
        minimum=1e-4,
        maximum=1000.0,
        step=0.01,
    )
    micro_batch: int = option_like(
        MICRO_BATCH,
        description="Particles decoded at a time for pixel and dino. 0: all. Choose 1 when memory runs out; results do "
        "not change, each step decodes twice.",
    )

    def strength_at(self, sigma_ve: float, sigma_top: float) -> float:
        """The strength at a VE noise level; ``sigma_top`` is the level where it is full, usually the run's first.

        0 at and below ``sigma_break``, and everywhere when ``sigma_top`` lies below it.
        """
        if self.strength == 0 or not self.sigma_break < min(sigma_ve, sigma_top):
            return 0.0
        above = math.log(min(sigma_ve, sigma_top) / self.sigma_break) / math.log(sigma_top / self.sigma_break)
        return self.strength * (above if self.schedule == "linear" else (1 - math.cos(math.pi * above)) / 2)


def repel(d: torch.Tensor, r: torch.Tensor, sigma_ve: float, options: Repulsion, sigma_top: float) -> torch.Tensor:
    """d', the ODE's right-hand side with repulsion.

    Args:
        d: (x_ve - D)/sigma_ve, ``[N, ...]``.
        r: from :func:`forces.repulsion`.
        sigma_ve: the level of ``d``, in VE units.
        options: strength, mode and schedule.
        sigma_top: see :meth:`Repulsion.strength_at`.

    Returns:
        ``d`` itself where the strength is 0.
    """
    strength = options.strength_at(sigma_ve, sigma_top)
    if strength == 0:
        return d
    if options.mode == "raw":
        return d - strength * sigma_ve * r
    size = per_row(rms(r), r)
    unit = torch.where(size > 0, r / size, torch.zeros_like(r))
    return d - strength * per_row(rms(d), d) * unit


def repel_denoised(
    denoised: torch.Tensor,
    x: torch.Tensor,
    sigma: torch.Tensor,
    parameterization: Parameterization,
    r: torch.Tensor,
    options: Repulsion,
    sigma_top: float,
) -> torch.Tensor:
    """D' = D + sigma_ve (d - d'): the same repulsion as a change of the denoiser's output, for any sampler or ODE step.

    Above ``sigma_top``, and so at a flow's sigma = 1, where sigma_ve is infinite, ``sigma_top`` takes its place: D'
    stays finite, and steps in which nothing is decided yet are not blown up.

    Args:
        denoised: D(x), ``[N, ...]``.
        x: noisy latents in the model's own coordinates.
        sigma: their level, 0-dimensional, in the model's own units.
        parameterization: VE or CONST.
        r: from :func:`forces.repulsion`.
        options: strength, mode and schedule.
        sigma_top: see :meth:`Repulsion.strength_at`.

    Returns:
        ``denoised`` itself where the strength is 0.
    """
    sigma_ve = min(float(parameterization.sigma_ve(sigma.double())), sigma_top)
    if options.strength_at(sigma_ve, sigma_top) == 0:
        return denoised
    d = (x - parameterization.alpha(sigma) * denoised) / parameterization.noise_deviation(sigma)
    return denoised + sigma_ve * (d - repel(d, r.to(d), sigma_ve, options, sigma_top))


class RepulsionAtLevel:
    """Repulsion during one annealing step: the force is computed once, when the ODE first asks the denoiser.

    Then D(x; sigma) is x0_hat as it stands at this level. Along the ODE the same force is added to the score of every
    hop. With no options, strength 0 here, or a single particle there is no correction at all.

    strength: at this level. norms: rms of the force per particle, once it is known.
    """

    def __init__(self, options: Repulsion | None, particles: Particles, level: Level, within: str) -> None:
        """``within``: the name of the part whose work it interrupts."""
        options = Repulsion(strength=0.0) if options is None or len(particles) < 2 else options
        self.strength = options.strength_at(level.sigma_ve, level.sigma_top)
        self.norms: list[float] | None = None
        self._options, self._level, self._features = options, level, particles.features
        self._force: torch.Tensor | None = None
        self._within = within

    @property
    def correction(self) -> Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor] | None:
        """``D'(D, x, sigma)`` for the ODE, or None."""
        return self._correct if self.strength > 0 else None

    def _correct(self, denoised: torch.Tensor, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        if self._force is None:
            self._level.observer.part("repulsion")
            self._force, _ = repulsion(denoised, self._features, self._options.micro_batch)
            self._level.observer.part(self._within)
            self.norms = rms(self._force).tolist()
            self._count(len(denoised))
        level = self._level
        return repel_denoised(denoised, x, sigma, level.parameterization, self._force, self._options, level.sigma_top)

    def _count(self, particles: int) -> None:
        if self._features.decodes:
            split = 0 < self._options.micro_batch < particles  # then every latent is decoded twice
            self._level.observer.count(decoder_forward=particles * (2 if split else 1), decoder_backward=particles)
