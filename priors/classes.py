"""The twelve classes of Emoji-64 and the class-weight vector that carries them.

A condition is a vector ``w`` of 12 non-negative weights. Its missing mass ``1 - sum(w)`` belongs to the null class, so
that one-hot is a class, all zeros is "none", and a convex mix of two conditions is again a condition. Interpolating
prompts therefore interpolates the class *embeddings*, and zeroing a prompt makes it unconditional.
"""

from __future__ import annotations

import torch
from torch import Tensor

CLASSES: tuple[str, ...] = (
    "face",
    "gesture",
    "person",
    "animal",
    "plant",
    "food",
    "place",
    "transport",
    "activity",
    "object",
    "symbol",
    "flag",
)
NULL_CLASS = "none"
NULL_INDEX = len(CLASSES)


def class_index(name: str) -> int:
    """Index of a class name, ``NULL_INDEX`` for "none". Raises ValueError for an unknown name."""
    if name == NULL_CLASS:
        return NULL_INDEX
    if name not in CLASSES:
        raise ValueError(f"class {name!r} is unknown: choose one of {', '.join(CLASSES)} or {NULL_CLASS}.")
    return CLASSES.index(name)


def class_weights(name: str) -> Tensor:
    """Weights ``[12]`` of a class: one-hot, or all zeros for "none". Raises ValueError for an unknown name."""
    weights = torch.zeros(len(CLASSES))
    index = class_index(name)
    if index != NULL_INDEX:
        weights[index] = 1.0
    return weights


def with_null_mass(weights: Tensor) -> Tensor:
    """``[N, 12]`` class weights -> ``[N, 13]`` with the mass of the null class, ``1 - sum``, in the last column."""
    return torch.cat([weights, 1.0 - weights.sum(dim=-1, keepdim=True)], dim=-1)
