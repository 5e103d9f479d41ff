"""Schedules for the host's models: ours by name, and what a KSampler makes of any schedule that the host knows.

Ours are defined in VE units, sigma/alpha, where a step means the same on every model, and mapped to the model's own. A
flow model's pure noise is infinite there: schedules that must begin at a number take ``PURE_NOISE`` for it and give
their first level back as the model's sigma 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import comfy.samplers
import torch

from ..schedulers import ksampler_sigmas, linear_quadratic, poly_rho, trailing, uniform_angle, uniform_half_log_snr
from .model_sampling import parameterization_of_model_sampling

__all__ = ["SCHEDULES", "ScheduleOptions", "host_schedules", "schedule_sigmas", "sigmas_of_ksampler"]

#: EDM's sigma_max (arXiv 2206.00364): with 80 times more noise than signal, a denoiser knows the data's mean at best.
PURE_NOISE = 80.0


@dataclass(frozen=True)
class ScheduleOptions:
    """What single schedules can be told.

    sigma_max, sigma_min: the range in the model's own units; 0 is the model's own range.
    rho: of poly_rho. threshold: of linear_quadratic, the share of the way that its slow half goes.
    """

    sigma_max: float = 0.0
    sigma_min: float = 0.0
    rho: float = 7.0
    threshold: float = 0.025


def schedule_sigmas(name: str, model_sampling: Any, steps: int, options: ScheduleOptions | None = None) -> torch.Tensor:
    """The schedule ``name`` for the host's ``model_sampling``: ``[steps + 1]`` levels in the model's units, the last 0.

    Raises:
        ValueError: no such schedule, or a range or a number of steps that it cannot have.
    """
    if name not in SCHEDULES:
        raise ValueError(f"no schedule is called {name!r}; choose one of {', '.join(SCHEDULES)}.")
    options = options or ScheduleOptions()
    top = options.sigma_max or float(model_sampling.sigma_max)
    bottom = options.sigma_min or float(model_sampling.sigma_min)
    limit = parameterization_of_model_sampling(model_sampling).sigma_limit
    if not 0 < bottom < top <= limit:
        upper = "" if math.isinf(limit) else " <= 1, for this is a flow model"
        raise ValueError(f"sigma_min is {bottom:g} and sigma_max {top:g}; choose 0 < sigma_min < sigma_max{upper}.")
    return SCHEDULES[name](model_sampling, steps, top, bottom, options)


def _in_ve(levels: Callable[..., torch.Tensor], from_pure_noise: bool = False) -> Callable[..., torch.Tensor]:
    """A schedule ``levels(n, low, high, options)`` in VE units, for a model and a range in the model's."""

    def sigmas(model_sampling: Any, steps: int, top: float, bottom: float, options: ScheduleOptions) -> torch.Tensor:
        kind = parameterization_of_model_sampling(model_sampling)
        high = kind.sigma_ve(top)
        if math.isinf(high) and not from_pure_noise:
            high = PURE_NOISE
        mapped = kind.sigma_from_ve(levels(steps, kind.sigma_ve(bottom), high, options))
        mapped[0] = top
        return mapped

    return sigmas


def _linear_quadratic(
    model_sampling: Any, steps: int, top: float, bottom: float, options: ScheduleOptions
) -> torch.Tensor:
    return linear_quadratic(steps, top, options.threshold)


def _trailing(model_sampling: Any, steps: int, top: float, bottom: float, options: ScheduleOptions) -> torch.Tensor:
    levels = model_sampling.sigmas.float().cpu()
    # The range is what the user asked for, or the table's own ends: compare with room for their rounding.
    return trailing(steps, levels[(levels >= bottom * (1 - 1e-6)) & (levels <= top * (1 + 1e-6))])


#: Name -> ``(model_sampling, steps, sigma_max, sigma_min, options) -> sigmas``.
SCHEDULES: dict[str, Callable[..., torch.Tensor]] = {
    "poly_rho": _in_ve(lambda n, low, high, options: poly_rho(n, low, high, options.rho)),
    "half_log_snr": _in_ve(lambda n, low, high, options: uniform_half_log_snr(n, low, high)),
    "angle": _in_ve(lambda n, low, high, options: uniform_angle(n, low, high), from_pure_noise=True),
    "linear_quadratic": _linear_quadratic,
    "trailing": _trailing,
}


def host_schedules() -> list[str]:
    """The host's own list of scheduler names, ours and other packs' among them; it grows when a pack adds one."""
    return comfy.samplers.SCHEDULER_NAMES


def sigmas_of_ksampler(
    model: Any,
    scheduler: str,
    steps: int,
    denoise: float = 1.0,
    start_step: int | None = None,
    end_step: int | None = None,
    force_full_denoise: bool = False,
    discard_penultimate: bool = False,
) -> torch.Tensor:
    """The sigmas that a stock KSampler samples ``model`` (MODEL) with; see :func:`schedulers.ksampler_sigmas`.

    Raises:
        ValueError: a scheduler that the host does not know, or steps that make no schedule.
    """
    model_sampling = model.get_model_object("model_sampling")
    return ksampler_sigmas(
        lambda n: comfy.samplers.calculate_sigmas(model_sampling, scheduler, n).cpu(),
        steps,
        denoise,
        start_step,
        end_step,
        force_full_denoise,
        discard_penultimate,
    )
