"""The settings of a saved measurement, as JSON: what this pack writes, and what it accepts of what it finds.

Anybody can write such a text, so each value is checked for its type and range before anything is made of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..measurement import Measurement
from ..operator import Operator
from ..phase_retrieval import CHANNELS, KINDS, NOISES, SIGNAL_RANGES, PhaseRetrieval

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


@dataclass(frozen=True)
class Rule:
    """What a value must be, as a test and in words."""

    holds: Callable[[Any], bool]
    words: str


def _number(low: float, high: float, words: str) -> Rule:
    # Not a bool, which is an int in Python; NaN fails every comparison, and an int of any length can be compared.
    return Rule(lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and low <= v <= high, words)


def _choice(choices: tuple[str, ...]) -> Rule:
    return Rule(lambda v: isinstance(v, str) and v in choices, f"one of {', '.join(choices)}")


def _is_size(value: Any) -> bool:
    whole = isinstance(value, list) and all(isinstance(n, int) and not isinstance(n, bool) for n in value)
    return whole and len(value) == 2 and all(1 <= n <= 65_536 for n in value)


_SIZE = Rule(_is_size, "[rows, columns], each a whole number from 1 to 65536")
_PHASE_RETRIEVAL = {
    "oversample": _number(0, 1000, "a number from 0 to 1000"),
    "noise_sigma": _number(0, 1e9, "a number from 0 to 1e9"),
    "signal_range": _choice(SIGNAL_RANGES),
    "clip_negative": Rule(lambda v: isinstance(v, bool), "true or false"),
    "kind": _choice(KINDS),
    "noise": _choice(NOISES),
    "channels": _choice(CHANNELS),
    "detector": Rule(lambda v: v is None or _is_size(v), f"null or {_SIZE.words}"),
}
_OPERATORS = {"phase_retrieval": (PhaseRetrieval, _PHASE_RETRIEVAL)}
_MEASUREMENT = {"image_shape": _SIZE, "noise_floor": _number(0, 1e30, "a number from 0 to 1e30")}


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
    if "operator" in settings and not (isinstance(name, str) and name in _OPERATORS):
        raise ValueError(
            f"{file!r} was saved with the operator {_short(name)}, which this version does not know; update."
        )
    missing = [key for key in ("operator", *_MEASUREMENT) if key not in settings]
    if missing:
        raise ValueError(f"{file!r} lacks {', '.join(missing)} in its settings; save the measurement again.")
    kind, rules = _OPERATORS[name]
    _check(settings, _MEASUREMENT, file)
    _check(said, rules, file)
    try:
        operator = kind.from_dict(said)
    except ValueError as problem:
        raise ValueError(f"the settings in {file!r} do not fit together: {problem}") from None
    return SavedSettings(operator, tuple(settings["image_shape"]), float(settings["noise_floor"]))


def _check(values: Mapping[str, Any], rules: Mapping[str, Rule], file: str) -> None:
    for name, rule in rules.items():
        if name in values and not rule.holds(values[name]):
            raise ValueError(
                f"{name} is {_short(values[name])} in the settings of {file!r}; it must be {rule.words}, so save the "
                "measurement again."
            )


def _short(value: Any) -> str:
    try:
        said = ascii(value)
    except (ValueError, RecursionError):  # an int of thousands of digits, or lists within lists
        said = f"a {type(value).__name__}"
    return said if len(said) <= 60 else f"{said[:60]}..."
