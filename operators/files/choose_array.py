"""Which of the arrays in somebody else's file is meant."""

from __future__ import annotations

from collections.abc import Mapping

from .stored_array import StoredArray, names_of, shown

__all__ = ["choose_array"]

USUAL_NAMES = (
    "y",
    "measurement",
    "data",
    "amplitude",
    "amplitudes",
    "intensity",
    "intensities",
    "pattern",
    "magnitude",
)


def choose_array(arrays: Mapping[str, StoredArray], name: str, file: str, what: str = "array") -> StoredArray:
    """The array called ``name``; without a name the only numeric one with two or more axes, or a usually named one.

    Arrays that cannot be read, but could be meant, take part: another one is not quietly taken in their place.
    """
    if name:
        if name not in arrays:
            raise ValueError(f"{file!r} has no array {shown(name)!r}; set {what} to one of {names_of(arrays)}.")
        return arrays[name]
    candidates = {key: array for key, array in arrays.items() if key != "mask" and _could_be_meant(array)}
    if len(candidates) > 1:
        usual = [key for wanted in USUAL_NAMES for key in candidates if key.rsplit("/", 1)[-1].lower() == wanted]
        candidates = {usual[0]: candidates[usual[0]]} if usual else candidates
    if not candidates:
        raise ValueError(f"{file!r} holds no numeric array with two or more axes; it has {names_of(arrays)}.")
    if len(candidates) > 1:
        raise ValueError(f"{file!r} holds several arrays; set {what} to one of {names_of(candidates)}.")
    return next(iter(candidates.values()))


def _could_be_meant(array: StoredArray) -> bool:
    return array.dtype.kind in "biufcO" and (array.shape is None or len(array.shape) >= 2)
