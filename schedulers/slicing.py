"""What ComfyUI's KSampler and KSamplerAdvanced do to a schedule before they sample.

In this order: the schedule is made one step too long and loses its last level above 0 (for samplers that evaluate
there, such as dpm_2 and uni_pc); ``denoise`` makes it longer and keeps its tail; the end is cut, and set to 0 if no
noise may be left; the start is cut.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from .checks import check_steps

__all__ = ["ksampler_sigmas"]


def ksampler_sigmas(
    schedule: Callable[[int], torch.Tensor],
    steps: int,
    denoise: float = 1.0,
    start_step: int | None = None,
    end_step: int | None = None,
    force_full_denoise: bool = False,
    discard_penultimate: bool = False,
) -> torch.Tensor:
    """The sigmas that the stock nodes would sample with; empty when they would give the latent back unchanged.

    Args:
        schedule: number of steps to sigmas ``[steps + 1]``, ending in 0.
        steps: steps of the whole schedule, or of its tail when ``denoise`` is below 1.
        denoise: 1 for all of it; below, the last ``steps`` of int(steps/denoise); 0 or less for nothing.
        start_step: first step to take, None for the first there is.
        end_step: step to stop before, None for the end.
        force_full_denoise: when stopped early, make the last level 0.
        discard_penultimate: drop the level before the final one.

    Raises:
        ValueError: steps < 1, or a negative start_step or end_step.
    """
    check_steps(steps)
    for name, step in (("start_step", start_step), ("end_step", end_step)):
        if step is not None and step < 0:
            raise ValueError(f"{name} is {step}; steps are counted from 0.")
    if denoise <= 0.0:
        return torch.empty(0)
    # The stock nodes compare with 0.9999, not with 1.
    is_whole = denoise > 0.9999
    sigmas = _without_penultimate(schedule, steps if is_whole else int(steps / denoise), discard_penultimate)
    if not is_whole:
        sigmas = sigmas[-(steps + 1) :]
    if end_step is not None and end_step < len(sigmas) - 1:
        sigmas = sigmas[: end_step + 1].clone()
        if force_full_denoise:
            sigmas[-1] = 0.0
    if start_step is not None:
        sigmas = sigmas[start_step:] if start_step < len(sigmas) - 1 else sigmas[:0]
    return sigmas


def _without_penultimate(schedule: Callable[[int], torch.Tensor], steps: int, discard: bool) -> torch.Tensor:
    if not discard:
        return schedule(steps)
    sigmas = schedule(steps + 1)
    return torch.cat([sigmas[:-2], sigmas[-1:]])
