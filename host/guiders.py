"""The host's guiders: what the pack asks of one, and how it stands in for one.

A guider is the host's ``CFGGuider`` or a subclass of it, the host's own (BasicGuider, DualCFGGuider) or another pack's.
It loads the model, hands itself to the sampler, and answers the sampler's calls with predictions.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

import comfy.samplers
import torch

from ..diffusion.parameterization import Parameterization
from .model_sampling import parameterization_of_model_sampling
from .samplers import check_cfg_pp_guidance

__all__ = [
    "CFGGuider",
    "GuiderDelegate",
    "Sampler",
    "as_the_host_keeps_it",
    "check_guider",
    "guidance_scale",
    "parameterization_of_guider",
    "sigma_at_percent",
    "tell_about_cfg_pp",
]

CFGGuider = comfy.samplers.CFGGuider
Sampler = comfy.samplers.Sampler
Delegate = TypeVar("Delegate", bound="GuiderDelegate")


class GuiderDelegate(CFGGuider):
    """A guider that stands for another one: what it does not do itself, that one is asked for.

    Its attributes and methods are those of ``guider``, except for the names in ``own``; what is set on it is set there.
    So the host, samplers and other packs find what they would find there, and change what they would change.
    A copy has a copy of the guider.
    """

    own: ClassVar[frozenset[str]] = frozenset({"guider", "own"})

    def __init__(self, guider: CFGGuider) -> None:
        vars(self)["guider"] = guider  # and nothing of CFGGuider's own: that is in ``guider``

    def __call__(self, *arguments: Any, **named: Any) -> torch.Tensor:
        """The prediction of ``guider``."""
        return self.guider(*arguments, **named)

    def __getattribute__(self, name: str) -> Any:
        inside = object.__getattribute__
        if name.startswith("__") or name in inside(self, "own"):
            return inside(self, name)
        return getattr(inside(self, "guider"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.guider, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self.guider, name)

    def __copy__(self: Delegate) -> Delegate:
        copied = object.__new__(type(self))
        vars(copied).update(vars(self), guider=copy.copy(self.guider))
        return copied


def check_guider(guider: Any) -> None:
    """Raise a ``ValueError`` unless ``guider`` is one of the host's kind."""
    if not isinstance(guider, CFGGuider):
        raise ValueError(
            f"guider is of type {type(guider).__name__}, which is not built on ComfyUI's CFGGuider; connect CFGGuider, "
            "BasicGuider or another guider that is."
        )


def parameterization_of_guider(guider: CFGGuider) -> Parameterization:
    """CONST for flow models, VE for the others; asked of the patcher, where ModelSampling… nodes replace it."""
    return parameterization_of_model_sampling(guider.model_patcher.get_model_object("model_sampling"))


def sigma_at_percent(guider: CFGGuider, percent: float) -> float:
    """The noise level at a share of the model's range, 0 the noisiest and 1 the cleanest, in the model's own units."""
    return float(guider.model_patcher.get_model_object("model_sampling").percent_to_sigma(percent))


@contextmanager
def guidance_scale(guider: CFGGuider, cfg: float | None) -> Iterator[None]:
    """``guider`` with this scale of classifier-free guidance inside the context; None leaves it its own."""
    if cfg is None:
        yield
        return
    before = guider.cfg
    guider.cfg = cfg
    try:
        yield
    finally:
        guider.cfg = before


def tell_about_cfg_pp(guider: CFGGuider, sampler: Any) -> None:
    """A notice when ``sampler`` is a CFG++ sampler, ours or the host's, and ``guider`` has nothing right for it."""
    if getattr(getattr(sampler, "sampler_function", None), "__name__", "").endswith("_cfg_pp"):
        check_cfg_pp_guidance(guider)


def as_the_host_keeps_it(samples: Any) -> Any:
    """A guider's result on the device where the host keeps what nodes hand to each other."""
    return samples.to(comfy.model_management.intermediate_device())
