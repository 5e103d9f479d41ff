"""An experiment: a name, what it asks, and the options of the workflow's nodes with which it asks."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..labkit import places
from .options import Value, canonical

__all__ = ["Experiment"]


@dataclass(frozen=True)
class Experiment:
    """One entry of the catalogue.

    name: of its folder among the results. question: what it asks, a sentence.
    options: by dotted name (``"Pruning.keep"``, see ``options.py``) what it sets; the rest is as in the workflow.
        A list of values is a grid: the experiment is run with each of them, and with each combination of several lists.
    workflow: the template that it runs, unless the command names another one.
    """

    name: str
    question: str
    options: Mapping[str, Value | Sequence[Value]]
    workflow: Path = places.LATENT_DAPS_TEMPLATE

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", {canonical(name): value for name, value in self.options.items()})

    @property
    def points(self) -> list[Experiment]:
        """The experiments of the grid, named by what tells them apart; the experiment itself where there is no list."""
        grid = {name: value for name, value in self.options.items() if isinstance(value, (list, tuple))}
        if not grid:
            return [self]
        found = []
        for values in itertools.product(*grid.values()):
            point = dict(zip(grid, values, strict=True))
            words = [f"{name.rpartition('.')[2]} {value}" for name, value in point.items()]
            name = " ".join([self.name, *words])
            found.append(replace(self, name=name, options={**self.options, **point}))
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values for experiment.json."""
        return {"name": self.name, "question": self.question, "options": dict(self.options)}
