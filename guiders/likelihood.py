"""Likelihood guidance: a measurement pulls at the denoiser's output, so that any sampler samples the posterior.

The formulas are in ``posterior/guidance.py`` (DPS, Chung et al., arXiv 2209.14687, and a form that knows how uncertain
D is). The gradient passes through the VAE's decoder and stops at the denoiser's output; the model's Jacobian, where it
is wanted, costs one further call of the model instead of a gradient through weights that the host does not allow one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ..host.cancel import raise_if_cancelled
from ..host.decoder import DifferentiableDecoder
from ..host.guiders import (
    NO_OPTIONS,
    CFGGuider,
    flow_or_ve,
    tell_about_cfg_pp,
    without_the_samplers_hooks,
)
from ..host.latents import check_latent
from ..instruments.guidance_record import GuidanceRecord
from ..operators import Measurement
from ..posterior.decoding import Decoding
from ..posterior.guidance import GuidanceOptions, guide
from ..posterior.likelihood import Likelihood

__all__ = ["LikelihoodGuider", "new_likelihood_record"]


def new_likelihood_record() -> GuidanceRecord:
    """What this guider notes at each call of the model."""
    return GuidanceRecord(
        "Likelihood guider",
        {"residual": "residual |A(decode(D)) - y| squared", "shift": "shift of D by the measurement (rms)"},
    )


class LikelihoodGuider(CFGGuider):
    """Guidance by a measurement.

    likelihood_measurement: what was measured; one serves the whole batch.
    likelihood_vae: the model's.
    likelihood_options: form, weight and width of the likelihood.
    likelihood_record: see :func:`new_likelihood_record`.
    """

    likelihood_measurement: Measurement | None = None
    likelihood_vae: Any = None
    likelihood_options = GuidanceOptions(weight=0.0)
    likelihood_record: GuidanceRecord | None = None

    _likelihood: Likelihood | None = None

    def sample(self, noise: torch.Tensor, latent_image: torch.Tensor, *more: Any, **named: Any) -> torch.Tensor:
        """Check that the latent decodes to the measured image, before anything is loaded."""
        if self.likelihood_options.weight > 0:
            latent_format = self.model_patcher.get_model_object("latent_format")
            image_shape = self.likelihood_measurement.image_shape
            check_latent(self.likelihood_vae, latent_format, latent_image, image_shape)
        return super().sample(noise, latent_image, *more, **named)

    def inner_sample(
        self, noise: torch.Tensor, latent_image: Any, device: torch.device, sampler: Any, *more: Any, **named: Any
    ) -> torch.Tensor:
        """Load the decoder for as long as sampling lasts."""
        tell_about_cfg_pp(self, sampler)
        options = self.likelihood_options
        if self.likelihood_record is not None:
            self.likelihood_record.clear()
        if options.weight == 0:
            return super().inner_sample(noise, latent_image, device, sampler, *more, **named)
        decoder = DifferentiableDecoder(self.likelihood_vae, self.model_patcher)
        measurement = self.likelihood_measurement.to(device)
        try:
            decoder.load(options.micro_batch or len(noise), tuple(noise.shape[1:]))
            self._likelihood = Likelihood(measurement, decoder, Decoding(options.micro_batch, options.precision))
            return super().inner_sample(noise, latent_image, device, sampler, *more, **named)
        finally:
            self._likelihood = None
            decoder.release()

    def predict_noise(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        model_options: Mapping[str, Any] = NO_OPTIONS,
        seed: int | None = None,
    ) -> torch.Tensor:
        """The denoised latents (the host's name for them is what it is)."""
        predict = super().predict_noise
        denoised = predict(x, timestep, model_options, seed)
        if self._likelihood is None or timestep[0] <= 0:
            return denoised
        raise_if_cancelled()
        quiet = without_the_samplers_hooks(self, model_options)
        guided, residual = guide(
            denoised.float(),
            x.float(),
            timestep[0],
            flow_or_ve(self),
            self._likelihood,
            self.likelihood_options,
            lambda other: predict(other.to(x), timestep, quiet, seed).float(),
        )
        if self.likelihood_record is not None:
            shift = (guided - denoised).flatten(1).square().mean(1).sqrt()
            self.likelihood_record.add(float(timestep[0]), residual=residual.tolist(), shift=shift.tolist())
        return guided.to(denoised)
