"""Options: a number, word or switch that a user may set, written once.

What is said here is the widget in the editor and its tooltip, the row of the help page, the key of the translation, the
check of a value and the sentence when it fails. Settings are frozen dataclasses whose fields are options::

    @dataclass(frozen=True)
    class Damping(Options):
        strength: float = option(0.1, "Share of the step that is held back. 0: off.", minimum=0.0, maximum=1.0)

    Damping(strength=2)  # ValueError: strength is 2; it must be a number between 0 and 1.

Functions that take options as keywords (the samplers) list them as :class:`Option` objects instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from numbers import Integral, Real
from typing import Any, TypeVar

__all__ = ["Option", "Options", "check_options", "option", "option_like"]

Value = float | int | str | bool
Settings = TypeVar("Settings", bound="Options")


@dataclass(frozen=True)
class Option:
    """One thing to set. The default's type (bool, int, float, str) says what kind it is.

    name: in a prompt and in a file; in Python too, unless :func:`option` says otherwise.
    description: one or two sentences for people; a tooltip is all of it, so it says what to choose and when.
    minimum, maximum: the smallest and the largest value that are allowed; None for no limit.
    above: a number that the value must be greater than, where the smallest one has no name.
    step: what an arrow of the widget adds.
    choices: of a str, the words that are allowed.
    advanced: shown when the user asks for more.
    added_later: graphs that were saved before the option was there have no value for it, and run with the default.
    """

    name: str
    default: Value
    description: str
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    advanced: bool = False
    added_later: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether it is a whole number."""
        return isinstance(self.default, int) and not isinstance(self.default, bool)

    @property
    def is_number(self) -> bool:
        """Whether it is a number at all."""
        return self.is_whole or isinstance(self.default, float)

    def check(self, value: Any) -> None:
        """Raise a ``ValueError`` of one sentence, with what is allowed, unless ``value`` is."""
        if not self._allows(value):
            raise ValueError(f"{self.name} is {_written(value)}; {self._demand()}.")

    def _allows(self, value: Any) -> bool:
        if isinstance(self.default, bool):
            return isinstance(value, bool)
        if not self.is_number:
            return isinstance(value, str) and (not self.choices or value in self.choices)
        if isinstance(value, bool) or not isinstance(value, Integral if self.is_whole else Real):
            return False
        return self._is_within(value)

    def _is_within(self, value: Any) -> bool:
        if not isinstance(value, Integral) and not math.isfinite(value):  # an int may be too long to be a float
            return False
        return (
            (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
            and (self.above is None or value > self.above)
        )

    def _demand(self) -> str:
        if isinstance(self.default, bool):
            return "it must be true or false"
        if not self.is_number:
            return f"choose one of {', '.join(self.choices)}" if self.choices else "it must be a text"
        limits = []
        if self.minimum is not None and self.maximum is not None:
            limits.append(f"between {self.minimum:g} and {self.maximum:g}")
        elif self.minimum is not None:
            limits.append(f"of {self.minimum:g} or more")
        if self.above is not None:
            limits.append(f"greater than {self.above:g}")
        if self.maximum is not None and self.minimum is None:
            limits.append(f"of at most {self.maximum:g}")
        return " ".join(["it must be a", "whole number" if self.is_whole else "number", " and ".join(limits)]).rstrip()


def option(default: Value, description: str, *, name: str = "", **limits: Any) -> Any:
    """A field of an :class:`Options` dataclass; ``limits`` are the other attributes of :class:`Option`.

    Args:
        name: what prompts and files call it, where that is not the name of the field.
    """
    return field(default=default, metadata={"option": Option(name, default, description, **limits)})


def option_like(original: Option, **changes: Any) -> Any:
    """A field that is set as ``original`` is, but for ``changes``: the same thing to set, in other settings."""
    changed = replace(original, name="", **changes)
    return field(default=changed.default, metadata={"option": changed})


class Options:
    """Base of settings. Fields made by :func:`option` are checked when an object is made; others are left alone.

    A subclass that has more to check (two fields that must fit together) extends :meth:`check`.

    Raises:
        ValueError: a value that its option does not allow; the sentence names it.
    """

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Raise a ``ValueError`` for the first field whose value is not allowed."""
        for field_name, each in self._options_by_field().items():
            each.check(getattr(self, field_name))

    @classmethod
    def options(cls) -> tuple[Option, ...]:
        """The options among the fields, in their order."""
        return tuple(cls._options_by_field().values())

    @classmethod
    def from_dict(cls: type[Settings], values: Mapping[str, Any]) -> Settings:
        """From :meth:`to_dict`, or a part of it. Raises ``ValueError`` for a name that is no field."""
        known = {outer: inner for inner, outer in cls._outer_names().items()}
        for name in values:
            if name not in known:
                raise ValueError(f"there is no option {name}; there are {', '.join(known)}.")
        return cls(**{known[name]: value for name, value in values.items()})

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a record or a file."""
        names = self._outer_names()
        return {names[name]: value for name, value in asdict(self).items()}  # type: ignore[call-overload]

    @classmethod
    def _options_by_field(cls) -> dict[str, Option]:
        return {
            each.name: replace(each.metadata["option"], name=each.metadata["option"].name or each.name)
            for each in fields(cls)  # type: ignore[arg-type]  # every subclass is a dataclass
            if "option" in each.metadata
        }

    @classmethod
    def _outer_names(cls) -> dict[str, str]:
        """Of each field, by its name in Python, what prompts and files call it."""
        names = {each.name: each.name for each in fields(cls)}  # type: ignore[arg-type]
        return names | {name: each.name for name, each in cls._options_by_field().items()}


def check_options(options: Sequence[Option], values: Mapping[str, Any]) -> None:
    """Check ``values`` by name against ``options``; values without an option are left alone.

    Raises:
        ValueError: the first that is not allowed.
    """
    for each in options:
        if each.name in values:
            each.check(values[each.name])


def _written(value: Any) -> str:
    """``value`` as a sentence says it, however long it is."""
    if isinstance(value, float):
        return repr(value)
    try:
        text = ascii(value)
    except (ValueError, RecursionError):  # an int of thousands of digits, or lists within lists
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."
