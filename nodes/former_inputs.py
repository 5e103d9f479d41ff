"""Inputs of LatentDAPS Sampler that release 0.1 had, for graphs that were saved with it.

There single numbers of the preset were changed by inputs whose 0, -1 or "as the preset" left a number alone; now they
are seen and changed in the nodes of the data step and of the estimate. The editor hides a former input that says
nothing (``web/former_inputs.js``) and shows one that counts, so that nothing works unseen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from comfy_api.latest import io

from ..posterior.data_steps.chain import PRIOR_WIDTHS
from ..posterior.method import Method
from .types import MOVES

__all__ = ["FORMER", "KEY", "former_inputs", "former_sockets", "with_former"]

#: Under which the editor finds, among an input's options, that it is a former one and with which value it says nothing.
KEY = "sampler_lab_former"
AS_PRESET = "as the preset"


@dataclass(frozen=True)
class Former:
    """One number of release 0.1.

    silent: the value with which it leaves the preset's number alone.
    part, option: what it now is. limits: of the widget. convert: from the former units.
    """

    name: str
    silent: Any
    part: str
    option: str
    limits: Mapping[str, Any]
    convert: Callable[[float], float] | None = None

    def counts(self, value: Any) -> bool:
        """Whether this value says anything."""
        if isinstance(self.silent, str):
            return value != self.silent
        return value >= 0 if self.silent < 0 else value > 0

    def value(self, given: Any) -> Any:
        """What is given, in today's units."""
        return given if self.convert is None else self.convert(given)

    @property
    def tooltip(self) -> str:
        """What it is now."""
        node = "a Data Step" if self.part == "data_step" else "the Probability Flow Estimate"
        units = "" if self.convert is None else ", in units 1.41 times as large"
        return f"From graphs of release 0.1: replaces {self.option} of the preset{units}. Now an input of {node} node."

    @property
    def input(self) -> io.Input:
        """The widget, where old graphs have it."""
        said = {
            "default": self.silent,
            "optional": True,
            "advanced": True,
            "tooltip": self.tooltip,
            "extra_dict": {KEY: {"silent": self.silent}, "hidden": True},
        }
        if isinstance(self.silent, str):
            return io.Combo.Input(self.name, options=[AS_PRESET, *PRIOR_WIDTHS], **said)
        number = io.Int if isinstance(self.silent, int) else io.Float
        return number.Input(self.name, **said, **self.limits)


def _number(maximum: float, step: float, minimum: float = 0.0) -> dict[str, Any]:
    return {"min": minimum, "max": maximum, "step": step, "round": False}


#: In the order of release 0.1: the editor stores widgets by their place.
FORMER: tuple[Former, ...] = (
    Former("mcmc_steps", 0, "data_step", "steps", {"min": 0, "max": 10_000}),
    Former("step_size", 0.0, "data_step", "step_size", _number(1.0, 1e-6)),
    Former("step_size_end", 0.0, "data_step", "step_size_end", _number(1.0, 0.001)),
    # The likelihood of release 0.1 had no one-half before 1/tau^2.
    Former("tau", 0.0, "data_step", "tau", _number(100.0, 0.001), lambda tau: tau / math.sqrt(2)),
    Former("momentum", -1.0, "data_step", "momentum", _number(0.999, 0.01, -1.0)),
    Former("prior_width", AS_PRESET, "data_step", "prior_width", {}),
    Former("gradient_clamp", -1.0, "data_step", "gradient_clamp", _number(1e6, 0.1, -1.0)),
    Former("ode_steps", 0, "estimate", "steps", {"min": 0, "max": 100}),
    Former("ode_sigma_min", 0.0, "estimate", "sigma_min", _number(10.0, 0.001)),
)


def former_inputs() -> list[io.Input]:
    """The former widgets, in their order."""
    return [former.input for former in FORMER]


def former_sockets() -> list[io.Input]:
    """The former sockets of moves, each of which took one kind of them."""
    return [
        MOVES.Input(
            name,
            optional=True,
            tooltip=f"From graphs of release 0.1: the {title} node. Now the moves input, which takes several in a row.",
            extra_dict={KEY: {"silent": None}},
        )
        for name, title in (("pruning", "Pruning"), ("hard_consistency", "Hard Consistency"))
    ]


def with_former(preset: Method, values: Mapping[str, Any]) -> Method:
    """The preset with the numbers that the former inputs among ``values`` replace.

    A number that the part does not have (momentum of a Langevin chain) is left out, as release 0.1 did.

    Raises:
        ValueError: a former input that counts beside a connected part, which has that number as well.
    """
    counting = [former for former in FORMER if former.name in values and former.counts(values[former.name])]
    for former in counting:
        if values.get(former.part) is not None:
            raise ValueError(
                f"{former.name} is {values[former.name]}, and {former.part} is connected, which has that number too; "
                f"set {former.name} to {former.silent}, or disconnect {former.part}."
            )
    for part in ("data_step", "estimate"):
        settings = getattr(preset, part)
        changed = {former.option: former.value(values[former.name]) for former in counting if former.part == part}
        known = {name: value for name, value in changed.items() if hasattr(settings, name)}
        preset = replace(preset, **{part: replace(settings, **known)})
    return preset
