"""The catalogue: one entry per schedule, from which the dropdowns, the node and tests are made.

To add a schedule, write its file and add its entry here. ``equal_error`` is not listed: it needs a recorded run, so it
is no schedule that a KSampler could offer.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ..diffusion.options import Option, check_options
from .angle import uniform_angle
from .annealing import poly_rho
from .half_log_snr import uniform_half_log_snr
from .linear_quadratic import linear_quadratic
from .placing import SIGMA_MAX, SIGMA_MIN, ModelLevels, Placing, in_model_units, in_ve_units, on_training_levels
from .trailing import trailing

__all__ = ["CATALOGUE", "RANGE", "ScheduleEntry", "entry"]

#: What every schedule can be told.
RANGE = (SIGMA_MAX, SIGMA_MIN)


@dataclass(frozen=True)
class ScheduleEntry:
    """What a schedule is.

    name: unique; the host's dropdowns show ``lab_<name>``.
    spacing: how the levels are spaced, in units of its own; its options are read off it.
    placing: which units these are; see ``placing.py``.
    """

    name: str
    spacing: Callable[..., torch.Tensor]
    placing: Placing

    @property
    def dropdown_name(self) -> str:
        """The name in the host's scheduler lists."""
        return f"lab_{self.name}"

    @property
    def options(self) -> tuple[Option, ...]:
        """What it can be told besides the range."""
        return getattr(self.spacing, "options", ())

    def sigmas(
        self, levels: ModelLevels, n: int, sigma_max: float = 0.0, sigma_min: float = 0.0, **options: Any
    ) -> torch.Tensor:
        """``n`` steps for a model: ``[n + 1]`` levels in its own units, the last 0.

        sigma_max, sigma_min: of the range, in the model's units; 0 for the model's own. Options of other schedules are
        left alone.

        Raises:
            ValueError: a range, a number of steps or an option that the schedule cannot have.
        """
        check_options(RANGE, {"sigma_max": sigma_max, "sigma_min": sigma_min})
        own = {option.name: options[option.name] for option in self.options if option.name in options}
        return self.placing(self.spacing, levels.within(sigma_min, sigma_max), n, **own)


CATALOGUE: tuple[ScheduleEntry, ...] = (
    ScheduleEntry("poly_rho", poly_rho, in_ve_units),
    ScheduleEntry("half_log_snr", uniform_half_log_snr, in_ve_units),
    ScheduleEntry("angle", uniform_angle, functools.partial(in_ve_units, from_pure_noise=True)),
    ScheduleEntry("linear_quadratic", linear_quadratic, in_model_units),
    ScheduleEntry("trailing", trailing, on_training_levels),
)


def entry(name: str) -> ScheduleEntry:
    """The entry of this name, with or without ``lab_``.

    Raises:
        ValueError: no such schedule; the sentence lists them.
    """
    for candidate in CATALOGUE:
        if name in (candidate.name, candidate.dropdown_name):
            return candidate
    raise ValueError(f"no schedule is called {name!r}; choose one of {', '.join(e.name for e in CATALOGUE)}.")
