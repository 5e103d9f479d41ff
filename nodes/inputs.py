"""Inputs of nodes made from options, so that a default, a range and a sentence are written once, where they are used.

::

    ETA = Option("eta", 1.0, "How much of each step is fresh noise.", minimum=0.0, maximum=100.0, step=0.01)
    widget(ETA)  # io.Float.Input("eta", default=1.0, min=0.0, max=100.0, step=0.01, tooltip="How much ...")
    widget(ETA, default=0.5)  # the same with another default
    widgets(EulerOptions.options())  # one input per field of a settings dataclass
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comfy_api.latest import io

from ..diffusion.options import Option

__all__ = ["widget", "widgets"]

#: Of a widget whose option has none; the editor would take 2048.
LARGEST = 1_000_000


def widget(option: Option, **changes: Any) -> io.Input:
    """The input that sets ``option``.

    An option that was added later is optional, so that graphs that were saved before keep running. The number that a
    value must be ``above`` is a float widget's minimum: there the option's own check refuses it, with its sentence.

    Args:
        changes: arguments of the input that this node wants otherwise (``default``, ``tooltip``, ``optional``, ...).
    """
    said: dict[str, Any] = {"default": option.default, "tooltip": option.description, "optional": option.added_later}
    if option.advanced:
        said["advanced"] = True
    kind, limits = _kind_and_limits(option)
    return kind.Input(option.name, **{**said, **limits, **changes})


def widgets(options: Sequence[Option]) -> list[io.Input]:
    """One input per option, in their order."""
    return [widget(option) for option in options]


def _kind_and_limits(option: Option) -> tuple[Any, dict[str, Any]]:
    """The type of the input, and what only inputs of that type are told."""
    if isinstance(option.default, bool):
        return io.Boolean, {}
    if option.choices:
        return io.Combo, {"options": list(option.choices)}
    if not option.is_number:
        return io.String, {}
    smallest = option.minimum
    if smallest is None and option.above is not None:
        smallest = option.above + 1 if option.is_whole else option.above
    largest = LARGEST if option.maximum is None else option.maximum
    limits = {"min": smallest, "max": largest, "step": option.step}
    # Without it the editor rounds a number to its step.
    return (io.Int, limits) if option.is_whole else (io.Float, {**limits, "round": False})
