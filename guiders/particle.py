"""Particle guidance: the items of a batch repel each other, with any sampler and any model.

A batch of four seeds of one prompt often shows one picture four times. Corso et al. (arXiv 2310.13102) add the gradient
of a potential between the samples to the score. Force and formulas are those of ``posterior/repulsion.py``; here the
force is computed from every prediction D of the model, and acts on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import torch

from ..diffusion.sentence import Sentence
from ..host.feature_space import FeatureSpaceOfRun
from ..host.guiders import NO_OPTIONS, CFGGuider, flow_or_ve, raise_if_cancelled, tell_about_cfg_pp
from ..host.notices import notify
from ..instruments.guidance_record import GuidanceRecord
from ..posterior.interaction.features import FeatureSpace
from ..posterior.interaction.forces import pairwise_distance, repulsion
from ..posterior.interaction.repulsion import Repulsion, repel_denoised

__all__ = ["ParticleGuider", "new_particle_record"]


def new_particle_record() -> GuidanceRecord:
    """What this guider notes at each call of the model."""
    return GuidanceRecord(
        "Particle guider",
        {"distance": "mean distance of two items (rms, feature space)", "strength": "strength of the repulsion"},
    )


class ParticleGuider(CFGGuider):
    """Repulsion between the items of the batch.

    particle_options: strength, mode, schedule and end of the repulsion.
    particle_space: the feature space.
    particle_sigma_top: VE noise level at which the strength is full; a run that starts below has it full at its start.
    particle_record: see :func:`new_particle_record`.
    """

    particle_options = Repulsion(strength=0.0)
    particle_space = FeatureSpaceOfRun()
    particle_sigma_top: float = 10.0
    particle_record: GuidanceRecord | None = None

    _features: FeatureSpace | None = None

    def inner_sample(
        self,
        noise: torch.Tensor,
        latent_image: Any,
        device: Any,
        sampler: Any,
        sigmas: torch.Tensor,
        *more: Any,
        **named: Any,
    ) -> torch.Tensor:
        """Load the feature space for as long as sampling lasts."""
        tell_about_cfg_pp(self, sampler)
        if self.particle_record is not None:
            self.particle_record.clear()
        top = min(self.particle_sigma_top, float(flow_or_ve(self).sigma_ve(sigmas.max().double())))
        repels = self.particle_options.strength > 0 and len(noise) > 1
        if repels and top <= self.particle_options.sigma_break:
            notify(
                Sentence(
                    "Particle Guider: sampling starts at sigma {top}, not above sigma_break {sigma_break}, so nothing "
                    "repels; choose a smaller sigma_break.",
                    top=f"{top:.3g}",
                    sigma_break=f"{self.particle_options.sigma_break:.3g}",
                )
            )
            repels = False
        if self.particle_options.strength > 0 and len(noise) == 1:
            notify(
                Sentence(
                    "Particle Guider: the batch has one item, so nothing repels; choose a batch_size of 2 or more."
                ),
                "info",
            )
        with ExitStack() as stack:
            if repels:
                at_once = self.particle_options.micro_batch or len(noise)
                shape = tuple(noise.shape[1:])
                self._features = stack.enter_context(self.particle_space.loaded(self.model_patcher, at_once, shape))
                self._top = top
            try:
                return super().inner_sample(noise, latent_image, device, sampler, sigmas, *more, **named)
            finally:
                self._features = None

    def predict_noise(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        model_options: Mapping[str, Any] = NO_OPTIONS,
        seed: int | None = None,
    ) -> torch.Tensor:
        """The denoised latents (the host's name for them is what it is)."""
        denoised = super().predict_noise(x, timestep, model_options, seed)
        if self._features is None:
            return denoised
        sigma, parameterization = timestep[0], flow_or_ve(self)
        sigma_ve = min(float(parameterization.sigma_ve(sigma.double())), self._top)
        strength = self.particle_options.strength_at(sigma_ve, self._top)
        if strength == 0:
            return denoised
        raise_if_cancelled()
        r, features = repulsion(denoised.float(), self._features, self.particle_options.micro_batch)
        if self.particle_record is not None:
            distance = pairwise_distance(features)
            self.particle_record.add(float(sigma), distance=[distance], strength=[strength])
        return repel_denoised(denoised, x, sigma, parameterization, r, self.particle_options, self._top)
