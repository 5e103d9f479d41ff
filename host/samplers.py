"""The catalogue's samplers as the host calls them: its own model sampling says whether a model is a flow."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import comfy.samplers
import torch

from ..samplers import SamplerEntry
from .model_sampling import parameterization_of_host_model

__all__ = ["catalogue_sampler", "drops_penultimate_sigma", "host_function"]


def host_function(entry: SamplerEntry) -> Callable[..., torch.Tensor]:
    """The entry's function for the host's ``model``, with the parameterization read from its model sampling."""

    @functools.wraps(entry.function)
    def sample(model: Any, x: torch.Tensor, sigmas: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        options.setdefault("parameterization", parameterization_of_host_model(model))
        return entry.function(model, x, sigmas, *arguments, **options)

    return sample


def catalogue_sampler(entry: SamplerEntry, **options: Any) -> comfy.samplers.KSAMPLER:
    """SAMPLER: an entry of the catalogue with these options."""
    return comfy.samplers.KSAMPLER(host_function(entry), options)


def drops_penultimate_sigma(sampler: Any) -> bool:
    """Whether a KSampler would leave out the last level above 0 for this SAMPLER (dpm_2, uni_pc and their kin).

    A SAMPLER does not know its name; it is recognised by the function that it calls.
    """
    names = comfy.samplers.KSampler.DISCARD_PENULTIMATE_SIGMA_SAMPLERS
    functions = [comfy.samplers.sampler_object(name).sampler_function for name in sorted(names)]
    return getattr(sampler, "sampler_function", None) in functions
