"""What the host gives to ``guiders/``: its CFGGuider, and how to add something to a guider that already exists.

A guider of this pack is a subclass of the host's ``CFGGuider`` that calls ``super().predict_noise`` and corrects what
comes back. So all that the host does (ControlNet, masks, hooks, wrappers, the whole of ``cfg_function``) is still done
by the host. ``super()`` need not be the CFGGuider itself: :func:`extend` puts the subclass in front of the class of any
guider (BasicGuider, DualCFGGuider, one of another pack, one of ours), so that guiders can be stacked.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import comfy.samplers
import torch

from ..diffusion.parameterization import Parameterization
from .model_sampling import parameterization_of_model_sampling
from .samplers import check_cfg_pp_guidance

__all__ = [
    "NO_OPTIONS",
    "CFGGuider",
    "extend",
    "flow_or_ve",
    "sigma_at_percent",
    "tell_about_cfg_pp",
    "with_first_post_cfg_hook",
    "without_the_samplers_hooks",
]

CFGGuider = comfy.samplers.CFGGuider
POST_CFG = "sampler_post_cfg_function"
Extension = TypeVar("Extension", bound=CFGGuider)

#: ``model_options`` when a sampler passes none.
NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


def extend(guider: CFGGuider, extension: type[Extension], **settings: Any) -> Extension:
    """A copy of ``guider`` with what ``extension`` adds, and ``settings`` as attributes; ``guider`` stays as it is.

    Raises:
        ValueError: not a guider of the host's kind, or one that is extended by ``extension`` already.
    """
    if not isinstance(guider, CFGGuider):
        raise ValueError(
            f"guider is of type {type(guider).__name__}, which is not built on ComfyUI's CFGGuider; connect CFGGuider, "
            "BasicGuider or another guider that is."
        )
    if isinstance(guider, extension):
        raise ValueError(f"this guider is a {extension.__name__} already; change the settings of that node instead.")
    extended = copy.copy(guider)
    extended.__class__ = _in_front_of(extension, type(guider))
    extended.original_conds = dict(guider.original_conds)
    for name, value in settings.items():
        setattr(extended, name, value)
    return extended


@functools.cache
def _in_front_of(extension: type[CFGGuider], base: type[CFGGuider]) -> type[CFGGuider]:
    return type(f"{extension.__name__}Of{base.__name__}", (extension, base), {})


def tell_about_cfg_pp(guider: CFGGuider, sampler: Any) -> None:
    """A notice when ``sampler`` is a CFG++ sampler, ours or the host's, and ``guider`` has nothing right for it."""
    if getattr(getattr(sampler, "sampler_function", None), "__name__", "").endswith("_cfg_pp"):
        check_cfg_pp_guidance(guider)


def flow_or_ve(guider: CFGGuider) -> Parameterization:
    """CONST for flow models, VE for the others; asked of the patcher, where ModelSampling… nodes replace it."""
    return parameterization_of_model_sampling(guider.model_patcher.get_model_object("model_sampling"))


def with_first_post_cfg_hook(
    model_options: Mapping[str, Any], hook: Callable[[dict[str, Any]], torch.Tensor]
) -> dict[str, Any]:
    """A copy of ``model_options`` in which ``hook`` sees the guided prediction before every other post-CFG hook."""
    hook.is_a_guiders = True
    return {**model_options, POST_CFG: [hook, *model_options.get(POST_CFG, [])]}


def without_the_samplers_hooks(guider: CFGGuider, model_options: Mapping[str, Any]) -> dict[str, Any]:
    """``model_options`` for a further call of the model: post-CFG hooks of guiders and of the model, not the sampler's.

    A CFG++ sampler listens there for the unconditional prediction of *its* x; one at another x would mislead it.
    """
    guiders = [hook for hook in model_options.get(POST_CFG, []) if getattr(hook, "is_a_guiders", False)]
    return {**model_options, POST_CFG: [*guiders, *guider.model_options.get(POST_CFG, [])]}


def sigma_at_percent(guider: CFGGuider, percent: float) -> float:
    """The noise level at a share of the model's range, 0 the noisiest and 1 the cleanest, in the model's own units."""
    return float(guider.model_patcher.get_model_object("model_sampling").percent_to_sigma(percent))
