"""How somebody else's file is to be understood: which array it is, and what its values, axes and marks mean."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..phase_retrieval import KINDS
from .stored_array import StoredArray, names_of, shown

__all__ = ["ReadOptions", "choose_array"]

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


@dataclass(frozen=True)
class ReadOptions:
    """How somebody's array is to be understood.

    array: its name in the file; empty for the only one, or one with a usual name.
    values: it holds amplitudes or intensities.
    layout: its axes.
    zero_frequency: where the pattern's middle is; auto goes by where most of the signal is.
    beam: (row, column) of the pattern's middle when it is neither; None for the usual place of that axis. The pattern
        is moved, and rows and columns for which there are no data are masked.
    scale: factor on the amplitudes; 0 chooses one that gives the object a root-mean-square of 0.5.
    image_shape: (H, W) of the image; None asks the operator's oversampling.
    mask_array, mask_meaning: the mask in the same file; an array called ``mask`` is taken by itself.
    nan_is_dead, negative_is_dead: such values mark dead pixels.
    frame: which pattern of a stack (the first axis) to take, from 0; None when the array is one pattern.
    estimate_noise: replace the operator's noise_sigma by :func:`noise.estimate_sigma` of the data.
    """

    LAYOUTS: ClassVar[tuple[str, ...]] = ("auto", "HxW", "HxWxC", "CxHxW")
    ZERO_FREQUENCIES: ClassVar[tuple[str, ...]] = ("auto", "centre", "corner")
    MASK_MEANINGS: ClassVar[tuple[str, ...]] = ("1 is valid", "1 is dead")

    array: str = ""
    values: str = "amplitude"
    layout: str = "auto"
    zero_frequency: str = "auto"
    beam: tuple[int | None, int | None] = (None, None)
    scale: float = 1.0
    image_shape: tuple[int, int] | None = None
    mask_array: str = ""
    mask_meaning: str = "1 is valid"
    nan_is_dead: bool = False
    negative_is_dead: bool = False
    frame: int | None = None
    estimate_noise: bool = False

    def __post_init__(self) -> None:
        for name, allowed in (
            ("values", KINDS),
            ("layout", self.LAYOUTS),
            ("zero_frequency", self.ZERO_FREQUENCIES),
            ("mask_meaning", self.MASK_MEANINGS),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(allowed)}.")
        if not (math.isfinite(self.scale) and self.scale >= 0):
            raise ValueError(f"scale is {self.scale}; it must be a positive factor, or 0 for automatic.")


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
