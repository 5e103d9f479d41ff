"""The catalogues' samplers and schedules in the host's own dropdowns, as ``lab_…``.

ComfyUI finds a sampler by its name in two lists and by the attribute ``sample_<name>`` of its k-diffusion module, and a
scheduler by its name in a list and a table of handlers. Everything is appended in place, so whoever holds a list sees
it grow; nothing is replaced, and a second call changes nothing. A name that somebody else has taken stays theirs.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import comfy.k_diffusion.sampling
import comfy.samplers

from ..samplers import CATALOGUE as SAMPLERS
from ..schedulers import CATALOGUE as SCHEDULES
from .samplers import host_function
from .schedulers import schedule_sigmas

__all__ = ["register", "register_sampler", "register_scheduler"]

# On the functions that we registered; another copy of the pack knows them by it, too.
_OURS = "registered_by_sampler_lab"


def register() -> None:
    """Offer every sampler and every schedule of the catalogues in the host's dropdowns."""
    for sampler in SAMPLERS:
        register_sampler(sampler.dropdown_name, host_function(sampler))
    for schedule in SCHEDULES:
        register_scheduler(schedule.dropdown_name, functools.partial(schedule_sigmas, schedule.name))


def register_sampler(name: str, function: Callable[..., Any]) -> bool:
    """Append a sampler to the host's lists; False, and a line in the log, when the name is somebody else's."""
    module, attribute = comfy.k_diffusion.sampling, f"sample_{name}"
    # A pack may have given KSampler a list of its own; every list that the host reads must have the name.
    lists = (comfy.samplers.KSAMPLER_NAMES, comfy.samplers.SAMPLER_NAMES, comfy.samplers.KSampler.SAMPLERS)
    taken = getattr(module, attribute, None)
    if taken is None and not any(name in names for names in lists):
        setattr(function, _OURS, True)
        setattr(module, attribute, function)
    elif not getattr(taken, _OURS, False):
        return _skip("sampler", name)
    _append(name, lists)
    return True


def register_scheduler(name: str, schedule: Callable[[Any, int], Any]) -> bool:
    """Append ``schedule(model_sampling, steps) -> sigmas`` to the host's schedulers; False as for a sampler."""
    handlers = comfy.samplers.SCHEDULER_HANDLERS
    lists = (comfy.samplers.SCHEDULER_NAMES, comfy.samplers.KSampler.SCHEDULERS)
    taken = handlers.get(name)
    if taken is None and not any(name in names for names in lists):
        setattr(schedule, _OURS, True)
        handlers[name] = comfy.samplers.SchedulerHandler(schedule)
    elif not getattr(getattr(taken, "handler", None), _OURS, False):
        return _skip("scheduler", name)
    _append(name, lists)
    return True


def _append(name: str, lists: tuple[list[str], ...]) -> None:
    for names in lists:
        if name not in names:
            names.append(name)


def _skip(what: str, name: str) -> bool:
    logging.warning("Sampler Lab: the %s name %s is taken by another pack and stays theirs.", what, name)
    return False
