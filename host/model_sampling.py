"""From the host's model sampling to our parameterization."""

from __future__ import annotations

from typing import Any

import comfy.model_sampling

from ..diffusion.parameterization import CONST, VE, Parameterization

__all__ = ["parameterization_of_host_model", "parameterization_of_model_sampling", "parameterization_of_patcher"]


def parameterization_of_model_sampling(model_sampling: Any) -> Parameterization:
    """CONST for the host's flow models, VE for EPS, V_PREDICTION and EDM, which all have alpha = 1.

    With the host's ``noise_scale`` (node Model Noise Scale), which older hosts and other kinds of models do not have.
    """
    kind = CONST if isinstance(model_sampling, comfy.model_sampling.CONST) else VE
    return kind.with_noise_scale(float(getattr(model_sampling, "noise_scale", 1.0)))


def parameterization_of_patcher(model: Any) -> Parameterization:
    """The parameterization of a MODEL as nodes hand it to each other."""
    return parameterization_of_model_sampling(model.get_model_object("model_sampling"))


def parameterization_of_host_model(model: Any) -> Parameterization:
    """The parameterization of what a ``sample_*`` function receives from the host as ``model``.

    That is the host's inpainting wrapper around a guider. The model sampling is asked of the model patcher, because
    nodes such as ModelSamplingFlux replace it there.
    """
    return parameterization_of_patcher(model.inner_model.model_patcher)
