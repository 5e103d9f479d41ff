"""The catalogue's samplers as the host calls them: its own model sampling says whether a model is a flow."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import comfy.samplers
import torch

from ..diffusion.sentence import Sentence
from ..samplers import SamplerEntry
from .model_sampling import parameterization_of_host_model
from .notices import notify

__all__ = ["catalogue_sampler", "check_cfg_pp_guidance", "drops_penultimate_sigma", "host_function"]

#: CFG++ goes on from the unconditional prediction: its scale is a share of the step, and 1 already is all of it.
LARGEST_CFG_PP_SCALE = 2.0


def host_function(entry: SamplerEntry) -> Callable[..., torch.Tensor]:
    """The entry's function for the host's ``model``, with the parameterization read from its model sampling."""

    @functools.wraps(entry.function)
    def sample(model: Any, x: torch.Tensor, sigmas: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        options.setdefault("parameterization", parameterization_of_host_model(model))
        if entry.cfg_pp:
            check_cfg_pp_guidance(model.inner_model)
        return entry.function(model, x, sigmas, *arguments, **options)

    return sample


def check_cfg_pp_guidance(guider: Any) -> None:
    """Say so when CFG++ can do nothing with what this guider gives it, or is given the scale of plain guidance."""
    conds, scale = getattr(guider, "conds", None), getattr(guider, "cfg", None)
    if isinstance(conds, dict) and not conds.get("negative"):
        notify(
            Sentence(
                "a CFG++ sampler needs a negative prompt and got none, so sampling went on without CFG++; use "
                "CFGGuider instead of BasicGuider, or a sampler without CFG++."
            )
        )
    elif isinstance(scale, (int, float)) and scale > LARGEST_CFG_PP_SCALE:
        notify(
            Sentence(
                "cfg is {scale}, and a CFG++ sampler wants 0.4 to {largest}, so the picture is probably burnt; lower "
                "cfg to 1 and go from there, or choose a sampler without CFG++.",
                scale=f"{scale:g}",
                largest=f"{LARGEST_CFG_PP_SCALE:g}",
            )
        )


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
