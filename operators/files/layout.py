"""From somebody's array to a recording: axes to C×H×W, dead pixels into the mask.

What the values mean is the operator's to say: see :meth:`Operator.from_recording`.
"""

from __future__ import annotations

import numpy as np
import torch

from ..recording import ReadOptions

__all__ = ["to_recording"]


def to_recording(
    values: np.ndarray, mask: np.ndarray | None, options: ReadOptions
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """``values`` as ``[C, h, w]`` in single precision, and a mask (true = valid), None when every pixel counts.

    Raises:
        ValueError: another shape or type than ``options`` say, NaN, a mask that does not fit, no valid pixel.
    """
    if values.dtype.kind not in "biuf":
        kind = "complex" if values.dtype.kind == "c" else f"of type {values.dtype}"
        raise ValueError(f"the array is {kind}; a detector records real amplitudes or intensities, so save those.")
    with np.errstate(over="ignore"):  # what becomes infinite is refused below
        y = torch.from_numpy(np.array(values, dtype=np.float32, order="C"))
    y = _channels_first(y, options.layout)
    valid = torch.ones_like(y, dtype=torch.bool)
    if mask is not None:
        valid = _same_layout(mask, y, options)
    if options.nan_is_dead:
        valid = valid & torch.isfinite(y)
    if options.negative_is_dead:
        valid = valid & ~(y < 0)
    wrong = ~torch.isfinite(y) & valid
    if bool(wrong.any()):
        raise ValueError(
            f"the array holds {int(wrong.sum())} NaN or infinite values; switch on nan_is_dead, or mask those pixels."
        )
    if not bool(valid.any()):
        raise ValueError("every pixel is masked as dead; check mask_meaning and the mask.")
    y = torch.where(valid, y, torch.zeros_like(y))
    return y, None if bool(valid.all()) else valid


def _channels_first(y: torch.Tensor, layout: str) -> torch.Tensor:
    axes = {"HxW": 2, "HxWxC": 3, "CxHxW": 3}.get(layout)
    while y.ndim > (axes or 3) and y.shape[0] == 1:  # a batch axis, or a stack of one
        y = y[0]
    if layout == "auto":
        first, last = y.ndim == 3 and y.shape[0] in (1, 3), y.ndim == 3 and y.shape[-1] in (1, 3)
        if y.ndim == 3 and first == last:
            raise ValueError(
                f"the array has shape {list(y.shape)}, which could be read in more than one way or in none; "
                "set layout, or frame if it is a stack."
            )
        layout = "HxW" if y.ndim == 2 else "CxHxW" if first else "HxWxC"
        axes = y.ndim
    if y.ndim != axes or y.ndim not in (2, 3):
        raise ValueError(
            f"the array has shape {list(y.shape)}, which is not {layout}; set layout, or frame if it is a stack."
        )
    y = y[None] if layout == "HxW" else y.movedim(-1, 0) if layout == "HxWxC" else y
    if y.shape[0] not in (1, 3):
        raise ValueError(f"the array has {y.shape[0]} channels; a measurement has 1 (grey) or 3 (red, green, blue).")
    if min(y.shape[-2:]) < 2:
        raise ValueError(f"the array has shape {list(y.shape)}; a pattern needs at least 2 rows and 2 columns.")
    return y


def _same_layout(mask: np.ndarray, y: torch.Tensor, options: ReadOptions) -> torch.Tensor:
    if mask.dtype.kind not in "biuf":
        raise ValueError(f"the mask is of type {mask.dtype}; it must hold numbers or true and false.")
    if mask.dtype.kind == "f" and bool(np.isnan(mask).any()):
        raise ValueError("the mask holds NaN; it must hold 1 and 0, or true and false.")
    marked = torch.from_numpy(np.array(mask != 0, order="C"))
    marked = marked[None] if marked.ndim == 2 else _channels_first(marked, options.layout)
    if marked.shape[-2:] != y.shape[-2:] or marked.shape[0] not in (1, y.shape[0]):
        raise ValueError(f"the mask has shape {list(mask.shape)}, which does not fit the pattern's {list(y.shape)}.")
    valid = marked if options.mask_meaning == "1 is valid" else ~marked
    return valid.expand_as(y)
