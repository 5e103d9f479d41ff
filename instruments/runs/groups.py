"""Which runs are averaged together: those of one recorded experiment with equal settings, each image once.

Where no experiment was recorded, equal settings make a group, and what differs between groups is its name.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .identity import settings_of
from .reading import listed
from .run import Run

__all__ = ["differences", "grouped", "with_image_names"]

UNNAMED, WITHOUT_RUN = "unnamed runs", "images compared without a run"
#: Differences in a group's name; of more, which would not fit into a table, only those that tell the groups apart.
MOST_WORDS = 5

#: For each of several values, words for how it differs in one respect.
Column = list[list[str]]


def with_image_names(runs: Sequence[Run], images: Sequence[str]) -> list[Run]:
    """The runs with one name per image, and one image per name."""
    called: dict[str, list[tuple[bool, str]]] = {}
    for run, image in zip(runs, images, strict=True):
        called.setdefault(image, []).append((not run.experiment, run.image))
    names = {image: min(found)[1] for image, found in called.items()}  # an experiment's name for it comes first
    twice = {name for name, count in Counter(names.values()).items() if count > 1}
    return [
        replace(run, image=f"{names[image]} ({_digest(image)})" if names[image] in twice else names[image])
        for run, image in zip(runs, images, strict=True)
    ]


def grouped(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """The runs with the names of their groups, and sentences that say what was grouped.

    Runs of one image that differ by their seed or noise are told apart too, so that no image counts twice in a mean.
    """
    by_name: dict[str, list[Run]] = {}
    for run in runs:
        by_name.setdefault(run.experiment, []).append(run)
    groups: dict[str, list[Run]] = {}
    notes: list[str] = []
    for name, own in by_name.items():
        parts: dict[str, list[Run]] = {}
        for words, same in _of_equal_settings(own):
            base = f"{name} ({words})" if name and words else name or words or UNNAMED
            for label, each in _each_image_once(base, same):
                parts[_free(label, {**groups, **parts})] = each
        groups |= parts
        notes += _said(name, parts)
    return [replace(run, experiment=label) for label, own in groups.items() for run in own], notes


def differences(values: Sequence[Any], path: str = "") -> list[list[str]]:
    """For each of ``values``, words for what it has and not all of the others have.

    >>> differences([{"mcmc": {"steps": 5}, "pruning": None}, {"mcmc": {"steps": 9}, "pruning": {"keep": 2}}])
    [['mcmc steps 5', 'no pruning'], ['mcmc steps 9', 'pruning']]
    """
    return _merged(_columns(values, path), len(values))


def _columns(values: Sequence[Any], path: str) -> list[Column]:
    """One column for each setting in which the values differ; one in all for what some of them do not have."""
    if len({_text(value) for value in values}) == 1:
        return []
    objects = [value for value in values if isinstance(value, Mapping)]
    if not objects:
        return [[[f"{path} {_word(value)}"] for value in values]]
    keys = list(dict.fromkeys(key for value in objects for key in value))
    inner = [
        column for key in keys for column in _columns([each.get(key) for each in objects], f"{path} {key}".strip())
    ]
    if len(objects) == len(values):
        return inner
    words = iter(_merged(inner, len(objects)))
    return [[(next(words) or [path]) if isinstance(value, Mapping) else [f"no {path}"] for value in values]]


def _merged(columns: Sequence[Column], count: int) -> Column:
    return [[word for column in columns for word in column[k]] for k in range(count)]


def _telling(columns: Sequence[Column], count: int) -> list[Column]:
    """Those of the columns that tell values apart which the columns before did not."""
    chosen: list[Column] = []
    known = 1
    for column in columns:
        told = len({_text(words) for words in _merged([*chosen, column], count)})
        if told > known:
            chosen.append(column)
            known = told
    return chosen


def _of_equal_settings(runs: Sequence[Run]) -> list[tuple[str, list[Run]]]:
    """Words for what differs, and the runs of equal settings."""
    groups: dict[str, list[Run]] = {}
    shown: dict[str, dict[str, Any]] = {}
    for run, facts in zip(runs, settings_of(runs), strict=True):
        groups.setdefault(_text(facts), []).append(run)
        shown[_text(facts)] = _shown(facts)
    known = [key for key, facts in shown.items() if facts]
    names = dict(zip(known, _names([shown[key] for key in known]), strict=True))
    return [(names.get(key, WITHOUT_RUN), own) for key, own in groups.items()]


def _names(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """One name for each, of how it differs from the others."""
    columns = _columns(settings, "")
    every = _merged(columns, len(settings))
    if max(map(len, every), default=0) <= MOST_WORDS:
        return [", ".join(words) for words in every]
    short = _merged(_telling(columns, len(settings)), len(settings))
    return [", ".join(told) + (", ..." if told != words else "") for told, words in zip(short, every, strict=True)]


def _each_image_once(label: str, runs: Sequence[Run]) -> list[tuple[str, list[Run]]]:
    """The runs, split so that no part has an image twice: by the seed where that tells the parts apart."""
    of_image: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.metrics["seed"] or 0, run.metrics["created"], str(run.file))):
        of_image.setdefault(run.image, []).append(run)
    rounds = max(map(len, of_image.values()))
    parts = [[own[k] for own in of_image.values() if k < len(own)] for k in range(rounds)]
    if rounds == 1:
        return [(label, parts[0])]
    seeds = [{run.metrics["seed"] for run in part} for part in parts]
    if all(len(found) == 1 for found in seeds) and len(set.union(*seeds)) == rounds:
        return [(f"{label}, seed {next(iter(found))}", part) for found, part in zip(seeds, parts, strict=True)]
    return [(label if k == 0 else f"{label}, repeat {k + 1}", part) for k, part in enumerate(parts)]


def _said(name: str, parts: Mapping[str, Sequence[Run]]) -> list[str]:
    """What a person must know who reads the groups' names."""
    names = listed([f"{label} ({len(own)} image{'s' if len(own) > 1 else ''})" for label, own in parts.items()])
    if name and len(parts) == 1:
        return []
    if name:
        return [f"Runs of {name} differ in settings or seed, so they are not averaged together: {names}."]
    count = sum(map(len, parts.values()))
    return [
        f"{count} run{'s' if count > 1 else ''} of no named experiment, grouped by equal settings: {names}. Prompt and "
        "checkpoint are not recorded; make sure that they are the same within a group."
    ]


def _shown(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as words are made of them: the hash of the levels says nothing to a person."""
    if not settings:
        return {}
    annealing = {key: value for key, value in settings["annealing"].items() if key != "sha256"}
    return {**settings, "annealing": annealing}


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (int, float)):
        return f"{value:g}"
    return "none" if value is None else value if isinstance(value, str) else _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:6]


def _free(label: str, taken: Mapping[str, Any]) -> str:
    """``label``, or with a number where another group has it."""
    if label not in taken:
        return label
    return next(name for k in range(2, len(taken) + 3) if (name := f"{label} ({k})") not in taken)
