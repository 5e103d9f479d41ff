"""A run of the host that goes on with some of its rows.

When particles are pruned, everything of which the host holds one row per particle has to follow: the inpainting
wrapper's noise and given latent, the mask, and each condition's tensors, masks and ControlNet hints. The host would
take the *first* K rows of them, which are other particles. Wrapper, guider and ControlNets are copied, one level deep,
and the copies changed: the originals are the caller's.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch

from ..posterior.particles import select_mask_rows

__all__ = ["select_rows"]


def select_rows(model: Any, extra_args: dict[str, Any], rows: list[int], count: int) -> tuple[Any, dict[str, Any]]:
    """``model`` and ``extra_args`` of a sampler function, for ``rows`` of its ``count`` rows.

    Args:
        model: what the host's KSAMPLER hands to a sampler: its inpainting wrapper around a guider.
        extra_args: the sampler's.
        rows: which rows go on; one may be named twice.
        count: rows so far.
    """
    model, extra_args = select_mask_rows(model, extra_args, rows, count)
    model = copy.copy(model)
    for name in ("noise", "latent_image"):
        value = getattr(model, name, None)
        if isinstance(value, torch.Tensor) and len(value) == count:
            setattr(model, name, value[rows])
    guider = copy.copy(model.inner_model)
    controls: dict[int, Any] = {}  # a ControlNet that several conditions share stays one object
    guider.conds = {
        name: [_condition(condition, rows, count, controls) for condition in conditions]
        for name, conditions in guider.conds.items()
    }
    model.inner_model = guider
    return model, extra_args


def _condition(condition: dict[str, Any], rows: list[int], count: int, controls: dict[int, Any]) -> dict[str, Any]:
    """One processed condition of the host."""
    selected = condition.copy()
    selected["model_conds"] = {
        name: _model_condition(value, rows, count) for name, value in condition.get("model_conds", {}).items()
    }
    for name in ("mask", "default_mask"):
        if isinstance(condition.get(name), torch.Tensor):
            selected[name] = _of_batch(condition[name], rows, count)
    if condition.get("control") is not None:
        selected["control"] = _control(condition["control"], rows, count, controls)
    return selected


def _model_condition(value: Any, rows: list[int], count: int) -> Any:
    """A host's COND…: its tensor or its tensors, when there is one row for each item of the batch."""
    inner = getattr(value, "cond", None)
    if isinstance(inner, torch.Tensor) and inner.ndim > 1:
        changed: Any = _of_batch(inner, rows, count)
    elif isinstance(inner, (list, tuple)) and any(isinstance(item, torch.Tensor) for item in inner):
        changed = type(inner)(
            _of_batch(item, rows, count) if isinstance(item, torch.Tensor) and item.ndim > 1 else item for item in inner
        )
    else:
        return value
    value = copy.copy(value)
    value.cond = changed
    return value


def _control(control: Any, rows: list[int], count: int, controls: dict[int, Any]) -> Any:
    """A ControlNet and those before it, with the hints of ``rows``."""
    if id(control) not in controls:
        selected = copy.copy(control)
        hint = getattr(control, "cond_hint_original", None)
        if isinstance(hint, torch.Tensor):
            selected.cond_hint_original = _of_batch(hint, rows, count)
        extra = getattr(control, "extra_concat_orig", None)
        if isinstance(extra, Sequence):
            selected.extra_concat_orig = [_of_batch(item, rows, count) for item in extra]
        selected.cond_hint = selected.extra_concat = None  # made anew from the hint at the next call
        previous = getattr(control, "previous_controlnet", None)
        if previous is not None:
            selected.previous_controlnet = _control(previous, rows, count, controls)
        controls[id(control)] = selected
    return controls[id(control)]


def _of_batch(tensor: torch.Tensor, rows: list[int], count: int) -> torch.Tensor:
    """``tensor[rows]`` after the host's own rule for batches that do not fit: repeat, then take the first ``count``.

    A single row serves every item, and stays as it is.
    """
    if len(tensor) <= 1:
        return tensor
    if len(tensor) < count:
        tensor = torch.cat([tensor] * math.ceil(count / len(tensor)))
    return tensor[:count][rows]
