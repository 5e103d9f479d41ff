"""Schedules for the host's models: ours by name, and what a KSampler makes of any schedule that the host knows."""

from __future__ import annotations

from typing import Any

import comfy.samplers
import torch

from ..schedulers import ModelLevels, entry, ksampler_sigmas
from .model_sampling import parameterization_of_model_sampling

__all__ = ["host_schedules", "levels_of", "schedule_sigmas", "sigmas_of_ksampler"]


def levels_of(model_sampling: Any) -> ModelLevels:
    """The noise levels that a model of the host knows."""
    return ModelLevels(
        parameterization_of_model_sampling(model_sampling),
        float(model_sampling.sigma_min),
        float(model_sampling.sigma_max),
        getattr(model_sampling, "sigmas", None),
    )


def schedule_sigmas(name: str, model_sampling: Any, steps: int, **options: float) -> torch.Tensor:
    """The schedule ``name`` for the host's ``model_sampling``: ``[steps + 1]`` levels in the model's units, the last 0.

    options: ``sigma_max`` and ``sigma_min`` (0 for the model's own), and those of the schedule.

    Raises:
        ValueError: no such schedule, or a range, a number of steps or an option that it cannot have.
    """
    return entry(name).sigmas(levels_of(model_sampling), steps, **options)


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
