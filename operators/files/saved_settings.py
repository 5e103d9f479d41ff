"""The settings of a saved measurement, as JSON: what this pack writes, and what it accepts of what it finds.

Anybody can write such a text. Operators and noise models check every one of their options when they are made, so there
is no second list of rules here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...diffusion.options import Option
from ..catalogue import OPERATORS
from ..images import LARGEST_SIDE, is_size
from ..measurement import Measurement
from ..operator import Operator

__all__ = ["MAX_CHARACTERS", "SCHEMA", "SavedSettings", "checked", "parse", "settings_of"]

SCHEMA = "sampler-lab/measurement/1"
_FAMILY = "sampler-lab/measurement/"
MAX_CHARACTERS = 100_000


@dataclass(frozen=True)
class SavedSettings:
    """What a saved measurement knows besides its values."""

    operator: Operator
    image_shape: tuple[int, int]
    noise_floor: float


#: The residual of the truth, in squared units of y.
NOISE_FLOOR = Option("noise_floor", 0.0, "The residual expected of the truth.", minimum=0.0, maximum=1e30)
_MEASUREMENT = ("image_shape", "noise_floor")


def settings_of(measurement: Measurement) -> dict[str, Any]:
    """The settings to be written with ``measurement``."""
    return {
        "schema": SCHEMA,
        "operator": measurement.operator.to_dict(),
        "image_shape": list(measurement.image_shape),
        "noise_floor": measurement.noise_floor,
    }


def parse(text: str) -> dict[str, Any] | None:
    """The settings in ``text``; None when it is not JSON of this pack."""
    if len(text) > MAX_CHARACTERS:
        return None
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError):  # no JSON, or nested deeper than anything that this pack writes
        return None
    schema = settings.get("schema") if isinstance(settings, dict) else None
    return settings if isinstance(schema, str) and schema.startswith(_FAMILY) else None


def checked(settings: Mapping[str, Any], file: str) -> SavedSettings:
    """``settings`` after each of them was checked.

    Raises:
        ValueError: of another version, something is missing, of a wrong type or out of its range.
    """
    if settings["schema"] != SCHEMA:
        raise ValueError(
            f"{file!r} was saved by another version of this pack ({str(settings['schema'])[:60]!r}); update."
        )
    said = settings.get("operator")
    name = said.get("operator") if isinstance(said, dict) else None
    kind = OPERATORS.get(name) if isinstance(name, str) else None
    if "operator" in settings and kind is None:
        raise ValueError(
            f"{file!r} was saved with the operator {_short(name)}, which this version does not know; update."
        )
    missing = [key for key in ("operator", *_MEASUREMENT) if key not in settings]
    if missing or kind is None or not isinstance(said, dict):
        raise ValueError(f"{file!r} lacks {', '.join(missing)} in its settings; save the measurement again.")
    try:
        NOISE_FLOOR.check(settings["noise_floor"])
        if not is_size(settings["image_shape"]):
            raise ValueError(
                f"image_shape is {_short(settings['image_shape'])}; it must be [rows, columns], each a whole number "
                f"from 1 to {LARGEST_SIDE}."
            )
        operator = kind.from_dict(said)
    except ValueError as problem:
        raise ValueError(f"save {file!r} again, its settings cannot be used: {problem}") from None
    rows, columns = settings["image_shape"]
    return SavedSettings(operator, (rows, columns), float(settings["noise_floor"]))


def _short(value: Any) -> str:
    try:
        said = ascii(value)
    except (ValueError, RecursionError):  # an int of thousands of digits, or lists within lists
        said = f"a {type(value).__name__}"
    return said if len(said) <= 60 else f"{said[:60]}..."
