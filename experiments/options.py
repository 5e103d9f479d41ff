"""Options of an experiment: inputs of the workflow's nodes, by dotted names.

``Pruning.keep`` is the input ``keep`` of the node ``SamplerLabPruning``; of nodes of the host the type is written as it
is: ``RandomNoise.noise_seed``. What a value may be is said once, by the node: its range, its choices and its sentence
are in the host's ``/object_info``, and :func:`checked` holds a value against them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..diffusion.options import Option

__all__ = [
    "PREFIX",
    "Value",
    "canonical",
    "checked",
    "is_value",
    "limits_of",
    "node_type_of",
    "parsed",
    "specification",
]

Value = int | float | str | bool
Json = dict[str, Any]
#: Of the pack's own node types; left out in dotted names.
PREFIX = "SamplerLab"
_DEFAULTS: Mapping[str, Value] = {"INT": 0, "FLOAT": 0.0, "BOOLEAN": False, "STRING": "", "COMBO": ""}


def canonical(name: str) -> str:
    """The dotted name without the pack's prefix. Raises ``ValueError`` for one without a dot.

    >>> canonical("SamplerLabPruning.keep"), canonical("RandomNoise.noise_seed")
    ('Pruning.keep', 'RandomNoise.noise_seed')
    """
    node, dot, inner = name.partition(".")
    if not (node and dot and inner):
        raise ValueError(
            f"{name!r} is no name of an option; write a node and its input with a dot between them, as Pruning.keep."
        )
    return name.removeprefix(PREFIX)


def parsed(text: str) -> Value | list[Value]:
    """What is written on a command line: a number, true or false, else a text; several with commas are a grid.

    >>> parsed("3"), parsed("0.5"), parsed("true"), parsed("emoji_hmc"), parsed("1,2")
    (3, 0.5, True, 'emoji_hmc', [1, 2])
    """
    if "," in text:
        return [_parsed(part.strip()) for part in text.split(",")]
    return _parsed(text)


def node_type_of(name: str, object_info: Json) -> str:
    """The type of the node that a dotted name means. Raises ``ValueError`` when the host has none."""
    node = name.partition(".")[0]
    found = next((each for each in (PREFIX + node, node) if each in object_info), None)
    if found is None:
        raise ValueError(f"{name}: this ComfyUI has no node {PREFIX}{node} and no node {node}; check the name.")
    return found


def specification(name: str, object_info: Json) -> Any:
    """What the host says of the input: its type or choices, and its limits. ``ValueError``: there is no such input."""
    node_type, inner = node_type_of(name, object_info), name.partition(".")[2]
    groups = object_info[node_type]["input"]
    inputs = {**(groups.get("required") or {}), **(groups.get("optional") or {})}
    if inner in inputs:
        return inputs[inner]
    names = [each for each, spec in inputs.items() if is_value(spec)]
    raise ValueError(f"{name}: the node {node_type} has no input {inner}; it has {', '.join(names)}.")


def checked(name: str, value: Value, object_info: Json) -> Value:
    """``value`` as the input takes it.

    Raises:
        ValueError: no such node or input, or a value that it does not allow; the node's own sentence is added.
    """
    spec = specification(name, object_info)
    if not is_value(spec):
        raise ValueError(f"{name} is a connection ({_kind(spec)}) and no value; connect it in the workflow.")
    kind = _kind(spec)
    if kind in ("COMBO", "STRING"):
        value = str(value)
    elif kind == "FLOAT" and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    option = _option(name, spec)
    try:
        option.check(value)
    except ValueError as error:
        raise ValueError(f"{error} {option.description}".rstrip()) from None
    return value


def is_value(spec: Any) -> bool:
    """Whether the host's specification is of an input with a value, and no connection."""
    return _kind(spec) in _DEFAULTS


def limits_of(spec: Any) -> str:
    """What is allowed, in a few words."""
    option = _option("", spec)
    if option.choices:
        return ", ".join(option.choices)
    if option.minimum is not None and option.maximum is not None:
        return f"{option.minimum:g} to {option.maximum:g}"
    return {"BOOLEAN": "true or false", "STRING": "a text"}.get(_kind(spec), "a number")


def _option(name: str, spec: Any) -> Option:
    limits, kind = (spec[1] if len(spec) > 1 else {}), _kind(spec)
    choices = spec[0] if isinstance(spec[0], list) else limits.get("options") or []
    return Option(
        name,
        _DEFAULTS[kind],
        str(limits.get("tooltip", "")),
        minimum=limits.get("min"),
        maximum=limits.get("max"),
        choices=tuple(map(str, choices)) if kind == "COMBO" else (),
    )


def _parsed(text: str) -> Value:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)


def _kind(spec: Any) -> str:
    return "COMBO" if isinstance(spec[0], list) else str(spec[0])
