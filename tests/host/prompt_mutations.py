"""Prompts that nobody should send: one input of one of our nodes is changed, from a seed.

What a mutation puts there may be of another type, NaN, out of range, huge, or a link that is missing or wrong. Values
that are allowed but would keep the machine busy for minutes (4096 particles) are left out: they are no errors.
"""

from __future__ import annotations

import copy
import math
import random
from typing import Any

__all__ = ["mutations"]

Prompt = dict[str, dict[str, Any]]

NUMBERS = (math.nan, math.inf, -math.inf, -1, -0.5, 0, 1e-300, 1e30, -1e30, 2**70, 10**400, True)
OTHERS = ("abc", "", "1e999", None, {}, {"a": 1}, {"__value__": [1, 2]}, [], [1, 2, 3], ["1"], "\0", "x" * 100_000)
PATHS = ("../../elsewhere", "/etc/passwd", "con\0", "..", "a" * 5000, "run\n", "%date:yyyy%/../..")
#: Legal values of these make more work, not an error: only what lies outside their range is tried.
COSTLY = ("particles", "steps", "mcmc_steps", "iterations", "ode_steps", "width", "height", "window")
#: What hands a number on without a check of its own, by the type that it hands on.
PRIMITIVES = {"FLOAT": "PrimitiveFloat", "INT": "PrimitiveInt"}


def mutations(
    prompts: dict[str, Prompt], object_info: dict[str, Any], seed: int, count: int
) -> list[tuple[str, Prompt]]:
    """``count`` of them: what was done, and the prompt."""
    draw = random.Random(seed)
    made: list[tuple[str, Prompt]] = []
    while len(made) < count:
        name = draw.choice(sorted(prompts))
        prompt = copy.deepcopy(prompts[name])
        key = draw.choice(sorted(key for key in prompt if prompt[key]["class_type"].startswith("SamplerLab")))
        done = _mutate(prompt, key, object_info, draw)
        if done:
            made.append((f"{name}: {prompt[key]['class_type']}.{done}", prompt))
    return made


def _mutate(prompt: Prompt, key: str, object_info: dict[str, Any], draw: random.Random) -> str | None:
    """Change one input in place; what was done, or None."""
    declared = object_info[prompt[key]["class_type"]]["input"]
    specs = {name: spec for part in ("required", "optional") for name, spec in declared.get(part, {}).items()}
    if not specs:
        return None
    name = draw.choice(sorted(specs))
    kind, options = specs[name][0], (specs[name][1] if len(specs[name]) > 1 else {})
    inputs = prompt[key]["inputs"]
    way = draw.choice(("value", "value", "value", "link", "missing"))
    if way == "missing":
        inputs.pop(name, None)
        return f"{name} missing"
    if way == "link":
        return _wrong_link(prompt, key, name, kind, options, draw)
    if isinstance(inputs.get(name), list):
        value = draw.choice(OTHERS)
    elif kind in PRIMITIVES:
        value = draw.choice((*_numbers(name, options), *OTHERS))
    else:
        value = draw.choice((*PATHS, *OTHERS)) if kind == "STRING" else draw.choice((*OTHERS, *NUMBERS))
    inputs[name] = value
    return f"{name} = {str(value)[:40]!r}"


def _wrong_link(
    prompt: Prompt, key: str, name: str, kind: Any, options: dict[str, Any], draw: random.Random
) -> str | None:
    """A link to nothing, to another type, to itself; or, for a number, to a node that hands on what it must not."""
    if kind in PRIMITIVES and draw.random() < 0.7:
        value = draw.choice([each for each in _numbers(name, options) if kind == "FLOAT" or _fits_an_int(each)])
        prompt["primitive"] = {"class_type": PRIMITIVES[kind], "inputs": {"value": value}}
        prompt[key]["inputs"][name] = ["primitive", 0]
        return f"{name} <- {value}"
    target = draw.choice((["nothing", 0], [key, 0], [draw.choice(sorted(prompt)), draw.choice((0, 1, 7, -1))], ["1"]))
    prompt[key]["inputs"][name] = target
    return f"{name} <- {target}"


def _numbers(name: str, options: dict[str, Any]) -> list[Any]:
    allowed = name in COSTLY
    low, high = options.get("min", -math.inf), options.get("max", math.inf)
    return [each for each in NUMBERS if not (allowed and isinstance(each, (int, float)) and low <= each <= high)]


def _fits_an_int(value: Any) -> bool:
    return isinstance(value, int) and abs(value) < 2**63
