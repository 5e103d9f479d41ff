"""Post-CFG hooks in the host's ``model_options``: functions that see, and may replace, the guided prediction.

The model has some (RescaleCFG and its kin), a CFG++ sampler adds one for a call, and so does a guider of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

__all__ = ["with_first_post_cfg_hook", "without_the_samplers_hooks"]

POST_CFG = "sampler_post_cfg_function"


def with_first_post_cfg_hook(
    model_options: Mapping[str, Any], hook: Callable[[dict[str, Any]], torch.Tensor]
) -> dict[str, Any]:
    """A copy of ``model_options`` in which ``hook`` sees the guided prediction before every other post-CFG hook."""

    def of_a_guider(arguments: dict[str, Any]) -> torch.Tensor:
        return hook(arguments)

    of_a_guider.is_a_guiders = True
    return {**model_options, POST_CFG: [of_a_guider, *model_options.get(POST_CFG, [])]}


def without_the_samplers_hooks(model_options: Mapping[str, Any], of_the_model: Mapping[str, Any]) -> dict[str, Any]:
    """``model_options`` for a further call of the model: post-CFG hooks of guiders and of the model, not the sampler's.

    A CFG++ sampler listens there for the unconditional prediction of *its* x; one at another x would mislead it.

    Args:
        model_options: what the sampler passes with its call.
        of_the_model: the guider's own, which hold the model's hooks.
    """
    guiders = [hook for hook in model_options.get(POST_CFG, []) if getattr(hook, "is_a_guiders", False)]
    return {**model_options, POST_CFG: [*guiders, *of_the_model.get(POST_CFG, [])]}
