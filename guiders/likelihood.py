"""Likelihood guidance: a measurement pulls at the denoiser's output, so that any sampler samples the posterior.

The formulas are in ``posterior/guidance.py`` (DPS, Chung et al., arXiv 2209.14687, and a form that knows how uncertain
D is). The gradient passes through the VAE's decoder and stops at the denoiser's output; the model's Jacobian, where it
is wanted, costs one further call of the model instead of a gradient through weights that the host does not allow one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ..diffusion.tensors import rms
from ..host.cancel import raise_if_cancelled
from ..host.decoder import DifferentiableDecoder
from ..host.guiders import CFGGuider
from ..host.latents import check_latent
from ..operators import Measurement
from ..posterior.autoencoder import Autoencoder
from ..posterior.guidance import GuidanceOptions, guide
from ..posterior.likelihood import Likelihood
from .correction import Call, Correction, SamplingRun

__all__ = ["LikelihoodCorrection"]


class LikelihoodCorrection(Correction):
    """The samples explain a measurement."""

    name = "LikelihoodGuider"

    def __init__(self, measurement: Measurement, vae: Any, options: GuidanceOptions | None = None) -> None:
        """``measurement``: one serves the whole batch; ``vae``: the model's."""
        super().__init__(
            "Likelihood guider",
            residual="residual |A(decode(D)) - y| squared",
            shift="shift of D by the measurement (rms)",
        )
        self.measurement, self.vae, self.options = measurement, vae, options or GuidanceOptions()

    def check(self, guider: CFGGuider, latent_image: Any) -> None:
        """Raise a ``ValueError`` unless the latent decodes to the measured image."""
        if self.options.weight > 0:
            latent_format = guider.model_patcher.get_model_object("latent_format")
            check_latent(self.vae, latent_format, latent_image, self.measurement.image_shape)

    @contextmanager
    def run(self, run: SamplingRun) -> Iterator[bool]:
        """Load the decoder for as long as sampling lasts."""
        options = self.options
        if options.weight == 0:
            yield False
            return
        decoder = DifferentiableDecoder(self.vae, run.model_patcher)
        measurement = self.measurement.to(run.device)
        try:
            decoder.load(options.micro_batch or run.shape[0], tuple(run.shape[1:]))
            self._likelihood = Likelihood(measurement, Autoencoder(decoder, decoding=options.decoding))
            self._parameterization = run.parameterization
            yield True
        finally:
            decoder.release()

    def correct(self, denoised: torch.Tensor, call: Call) -> torch.Tensor:
        """D' = D - k C g; see ``posterior/guidance.py``."""
        if call.sigma <= 0:
            return denoised
        raise_if_cancelled()
        guided, residual = guide(
            denoised.float(),
            call.x.float(),
            call.sigma,
            self._parameterization,
            self._likelihood,
            self.options,
            lambda other: call.denoise(other.to(call.x)).float(),
        )
        self.record.add(float(call.sigma), residual=residual.tolist(), shift=rms(guided - denoised).tolist())
        return guided.to(denoised)
