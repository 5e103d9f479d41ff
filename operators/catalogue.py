"""The operators by their names. One more is a file beside this one and a place in this list."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .grey import Grey
from .operator import Operator
from .phase_retrieval import PhaseRetrieval

__all__ = ["OPERATORS"]

OPERATORS: Mapping[str, type[Operator]] = MappingProxyType({each.name: each for each in (PhaseRetrieval, Grey)})
