"""A whole posterior run in one call: what SamplerCustomAdvanced does with noise, guider, sampler and levels."""

from __future__ import annotations

from typing import Any

import comfy.sample
import comfy.samplers
import comfy.utils
import latent_preview
import torch

from ..diffusion.particle_noise import ParticleNoise
from .guiders import as_the_host_keeps_it

__all__ = ["Conditions", "sample_latents"]

Conditions = list[Any]


def sample_latents(
    model: Any,
    positive: Conditions,
    negative: Conditions | None,
    cfg: float,
    sampler: comfy.samplers.KSAMPLER,
    sigmas: torch.Tensor,
    latent: torch.Tensor,
    seed: int,
) -> torch.Tensor:
    """Sample ``latent`` (zeros, one row per particle) with noise of one stream per particle; previews as usual."""
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(positive, positive if negative is None else negative)
    guider.set_cfg(1.0 if negative is None else cfg)
    latent = comfy.sample.fix_empty_latent_channels(model, latent)
    noise = ParticleNoise(seed, "start")(latent.cpu())
    callback = latent_preview.prepare_callback(model, len(sigmas) - 1)
    hidden = not comfy.utils.PROGRESS_BAR_ENABLED
    samples = guider.sample(noise, latent, sampler, sigmas, callback=callback, disable_pbar=hidden, seed=seed)
    return as_the_host_keeps_it(samples)
