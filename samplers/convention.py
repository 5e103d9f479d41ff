"""From a formula to a k-diffusion sampler.

A sampler here is written as what it does on a :class:`Run`::

    @sampler
    def sample_example(run, eta=1.0):
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
from typing import Any

import torch

from ..diffusion.parameterization import Parameterization
from .run import Callback, Model, NoiseSampler, Run

__all__ = ["Sampler", "cfg_pp", "check_choice", "check_not_negative", "sampler"]

#: What :func:`sampler` makes: a function with k-diffusion's signature and the sampler's own options.
Sampler = Callable[..., torch.Tensor]


def _convention(walk: Callable[..., torch.Tensor], name: str, with_cfg_pp: bool) -> Sampler:
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
        **options: Any,
    ) -> torch.Tensor:
        with torch.no_grad():
            run = Run(
                model, x, sigmas, extra_args, callback, disable, parameterization, noise_sampler, cfg_pp=with_cfg_pp
            )
            return walk(run, *values, **options).to(x.dtype)

    # What help() and an editor show: k-diffusion's arguments, the walk's own options, ours.
    ours = list(inspect.signature(sample, follow_wrapped=False).parameters.values())
    fixed = [p for p in ours if p.kind is p.POSITIONAL_OR_KEYWORD]
    keywords = [p for p in ours if p.kind is p.KEYWORD_ONLY]
    own = list(inspect.signature(walk).parameters.values())[1:]
    sample.__signature__ = inspect.Signature([*fixed, *own, *keywords], return_annotation="torch.Tensor")
    sample.__name__ = sample.__qualname__ = name
    return sample


def sampler(walk: Callable[..., torch.Tensor]) -> Sampler:
    """Decorator: ``walk(run, **options) -> x`` under k-diffusion's calling convention; see :class:`Run`."""
    return _convention(walk, walk.__name__, with_cfg_pp=False)


def cfg_pp(plain: Sampler) -> Sampler:
    """The CFG++ form of a sampler made by :func:`sampler`, under its name with ``_cfg_pp`` at the end."""
    walk = plain.__wrapped__
    return _convention(walk, walk.__name__.removesuffix("_cfg_pp") + "_cfg_pp", with_cfg_pp=True)


def check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise a ``ValueError`` that names the option unless ``value`` is among ``allowed``."""
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; choose one of {', '.join(allowed)}.")


def check_not_negative(**numbers: float) -> None:
    """Raise a ``ValueError`` that names the first option that is negative or NaN."""
    for name, number in numbers.items():
        if not number >= 0:
            raise ValueError(f"{name} is {number}; it must be 0 or more.")
