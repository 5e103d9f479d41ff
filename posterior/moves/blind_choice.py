r"""Which particle is the reconstruction? Chosen without the truth, by what explains y and what the model believes.

The residual alone prefers a wrong picture that happens to fit: a superposition of the picture and its twin may fit
better, inside the decoder's range, than a nearly right one. The denoiser's own error says how strange a latent is,

.. math:: q = \sum_s \overline{|z - D(z + s\varepsilon; s)|^2} / s^2, \qquad s = 0.1, 0.2, 0.4,

with the same :math:`\varepsilon` for all particles, or the noise would decide. The score is
:math:`L/f + \lambda q`, f the noise floor. The particles are put in its order: the first one is the choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from ...diffusion.options import option
from ...diffusion.particle_noise import ParticleNoise
from ..level import Level
from ..part import Move
from ..particles import Particles

__all__ = ["BlindChoice", "prior_error"]

#: VE levels at which the model is asked.
SIGMAS = (0.1, 0.2, 0.4)


@dataclass(frozen=True)
class BlindChoice(Move):
    """After the last step: the best particle first."""

    name: ClassVar[str] = "blind_choice"
    title: ClassVar[str] = "Blind Choice"
    phase: ClassVar[str] = "choose"
    about: ClassVar[str] = (
        "After the last step, puts the particles in order, the likeliest reconstruction first: by how well they "
        "explain the measurement and by how plausible the model finds them."
    )
    aliases: ClassVar[tuple[str, ...]] = ("best of N", "select", "rank", "sort", "choose")

    prior_weight: float = option(
        0.3,
        "How much the model's doubt counts beside the residual, which is in units of the noise floor. 0: the residual "
        "alone chooses.",
        minimum=0.0,
        maximum=100.0,
        step=0.1,
    )

    def is_due(self, level: Level) -> bool:
        """After the last step."""
        return level.is_last

    def __call__(self, particles: Particles, z0: torch.Tensor, level: Level) -> torch.Tensor:
        """z0 ``[N, ...]`` in the order of the score."""
        level.observer.enter(self.phase)
        likelihood = level.likelihood
        images = likelihood.evaluate(z0, precisely=True).images
        misfit = likelihood.residual_of_pictures(images) / max(likelihood.measurement.noise_floor, 1e-30)
        doubt = torch.zeros_like(misfit)
        if self.prior_weight > 0:
            noise = ParticleNoise(particles.seed, "blind choice")(z0[:1])
            doubt = prior_error(particles, z0, level, SIGMAS, [noise])
        score = misfit + self.prior_weight * doubt
        order = score.nan_to_num(nan=torch.inf).argsort(stable=True).tolist()
        level.report(
            choice={
                "particles": list(particles.names),
                "misfit": misfit.tolist(),
                "prior_error": doubt.tolist(),
                "score": score.tolist(),
            }
        )
        particles.keep(order)
        particles.chosen = particles.names[0]
        return z0[order]


def prior_error(
    particles: Particles, z: torch.Tensor, level: Level, sigmas: Sequence[float], noises: Sequence[torch.Tensor]
) -> torch.Tensor:
    """q of clean latents ``[N, ...]``, one per particle: ``[N]``, the mean over ``noises``.

    Args:
        sigmas: VE levels at which the model is asked.
        noises: standard normal, each ``[N, ...]``, or ``[1, ...]`` for the same in every row.
    """
    total = z.new_zeros(len(z))
    p = level.parameterization
    for noise in noises:
        for sigma_ve in sigmas:
            sigma = p.sigma_from_ve(z.new_tensor(sigma_ve))
            denoised = particles.denoise(p.alpha(sigma) * z + p.noise_deviation(sigma) * noise, sigma)
            total = total + (z - denoised).square().flatten(1).mean(1) / sigma_ve**2
    return total / len(noises)
