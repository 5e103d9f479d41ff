"""From a formula to a k-diffusion sampler.

A sampler here is written as what it does on a :class:`Run`, with its options listed once::

    @sampler(ETA)
    def sample_example(run: Run, eta: float) -> torch.Tensor:
        x = run.x
        for step in run.steps():
            D, u = run.predict(x, step)
            x = ...
        return x

and is called as ComfyUI and k-diffusion call samplers::

    sample_example(model, x, sigmas, extra_args=None, callback=None, disable=None, eta=1.0,
                   *, parameterization=None, noise_sampler=None)

``cfg_pp(sample_example)`` is the same formula with ``u`` the unconditional prediction instead of ``D`` once more.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, cast

import torch

from ..diffusion.keyword_options import TakesOptions, takes
from ..diffusion.options import Option
from ..diffusion.parameterization import Parameterization
from .run import Callback, Model, NoiseSampler, Run

__all__ = ["Sampler", "cfg_pp", "sampler"]

#: What :func:`sampler` makes: a function with k-diffusion's signature, and with the list of the sampler's own options.
Sampler = TakesOptions[torch.Tensor]


def sampler(*options: Option) -> Callable[[Callable[..., torch.Tensor]], Sampler]:
    """Decorator: ``walk(run, **options) -> x`` under k-diffusion's calling convention; see :class:`Run`.

    Defaults and checks of the walk's keywords are those of ``options``, which it names in their order.
    """

    def decorate(walk: Callable[..., torch.Tensor]) -> Sampler:
        return _under_convention(takes(*options)(walk), walk.__name__, with_cfg_pp=False)

    return decorate


def cfg_pp(plain: Sampler) -> Sampler:
    """The CFG++ form of a sampler made by :func:`sampler`, under its name with ``_cfg_pp`` at the end."""
    walk = cast(Any, plain).__wrapped__
    return _under_convention(walk, walk.__name__.removesuffix("_cfg_pp") + "_cfg_pp", with_cfg_pp=True)


def _under_convention(walk: TakesOptions[torch.Tensor], name: str, with_cfg_pp: bool) -> Sampler:
    @functools.wraps(walk)
    def sample(
        model: Model,
        x: torch.Tensor,
        sigmas: torch.Tensor,
        extra_args: dict[str, Any] | None = None,
        callback: Callback | None = None,
        disable: bool | None = None,
        *values: Any,
        parameterization: Parameterization | None = None,
        noise_sampler: NoiseSampler | None = None,
        **keywords: Any,
    ) -> torch.Tensor:
        with torch.no_grad():
            run = Run(model, x, sigmas, extra_args, callback, disable, parameterization, noise_sampler)
            if with_cfg_pp:
                run.capture_unconditional()
            return walk(run, *values, **keywords).to(x.dtype)

    made = cast(Any, sample)
    # What help() and an editor show: k-diffusion's arguments, the walk's own options, ours.
    del made.__signature__  # copied from the walk
    ours = list(inspect.signature(sample, follow_wrapped=False).parameters.values())
    fixed = [each for each in ours if each.kind is each.POSITIONAL_OR_KEYWORD]
    keyword_only = [each for each in ours if each.kind is each.KEYWORD_ONLY]
    own = list(inspect.signature(walk).parameters.values())[1:]
    made.__signature__ = inspect.Signature([*fixed, *own, *keyword_only], return_annotation="torch.Tensor")
    made.__name__ = made.__qualname__ = name
    return cast(Sampler, made)
