"""Measurements in files: a detector's own data, which need to be told what they are, and saved ones, which know.

Saved files hold ``y`` (C×H×W, zero frequency in the middle), ``mask`` where there is one, and ``sampler_lab``: the
operator's settings, the image's size and the noise floor as JSON. They can be read by anything that reads the format.

:func:`load_measurement` is the one place where a file becomes a :class:`Measurement`. Files come from anywhere: values,
mask and settings are checked here, and what does not pass is a ``ValueError`` of one sentence.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..measurement import Measurement
from ..operator import Operator
from ..recording import ReadOptions
from .choose_array import choose_array
from .containers import StoredArray, find_arrays, write_arrays
from .layout import to_recording
from .npy_pair import save_pair, settings_beside
from .saved_settings import MAX_CHARACTERS, SavedSettings, checked, parse, settings_of

__all__ = ["load_measurement", "save_measurement"]

SETTINGS = "sampler_lab"
MAX_VALUE = 1e18  # the square of a recorded value must fit into float32


def save_measurement(measurement: Measurement, path: str | Path) -> None:
    """Write ``measurement`` as .npz, .npy, .mat or .h5/.hdf5, by the ending of ``path``; whole or not at all.

    A .npy holds nothing but the values, so there dead pixels become NaN and the settings go into a .json beside it.

    >>> import tempfile
    >>> from sampler_lab.operators import PhaseRetrieval
    >>> measurement = PhaseRetrieval().measure(torch.zeros(1, 3, 8, 8), seed=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_measurement(measurement, Path(folder) / "first.npz")
    ...     again = load_measurement(Path(folder) / "first.npz")
    >>> bool((again.y == measurement.y).all()), again.operator == measurement.operator
    (True, True)
    """
    path = Path(path)
    y = measurement.y[0].detach().cpu().numpy()
    settings = settings_of(measurement)
    mask = None if measurement.mask is None else measurement.mask[0].cpu().numpy().astype(np.uint8)
    if path.suffix.lower() == ".npy":
        save_pair(path, y if mask is None else np.where(mask > 0, y, np.nan).astype(y.dtype), settings)
    else:
        write_arrays(path, {"y": y} if mask is None else {"y": y, "mask": mask}, {SETTINGS: json.dumps(settings)})


def load_measurement(
    path: str | Path,
    operator: Operator | None = None,
    options: ReadOptions | None = None,
    interrupt: Callable[[], None] = lambda: None,
) -> Measurement:
    """Read a measurement.

    Args:
        path: .npz, .npy, .mat (any version), .h5 or .hdf5.
        operator: how the data were recorded. A saved measurement knows; given all the same, this replaces what it says.
        options: how the file's array is to be read. For a saved measurement only ``image_shape``, ``scale`` and
            ``estimate_noise`` count: the rest is known.
        interrupt: called while the file is read; it may raise to end that.

    Raises:
        ValueError: see :func:`containers.find_arrays`, :class:`ReadOptions` and :class:`Measurement`; settings that
            are not what :mod:`saved_settings` accepts; data that need an operator and have none.
    """
    path, options = Path(path), options or ReadOptions()
    if operator is not None and not isinstance(operator, Operator):
        raise ValueError(f"the operator is {type(operator).__name__}, which is none; connect one, or leave it out.")
    arrays = find_arrays(path, interrupt)
    settings = _settings(path, arrays)
    if settings is not None:
        saved = _restore(path, arrays, checked(settings, path.name))
        if operator is None and not (options.estimate_noise or options.image_shape or options.scale != 1):
            return saved
        return _again(saved, operator, options)
    if operator is None:
        raise ValueError(
            f"{path.name!r} does not say how it was recorded; connect the node of its operator, for example Phase "
            "Retrieval, to the operator input."
        )
    values = choose_array(arrays, options.array, path.name).read(options.frame)
    y, mask = to_recording(values, _mask_array(arrays, options, path.name), options)
    return operator.from_recording(y, mask, options)


def _again(saved: Measurement, operator: Operator | None, options: ReadOptions) -> Measurement:
    """What was saved as a recording of ``operator``, else of its own, under those of the options that still count."""
    own = saved.operator
    known = replace(
        options,
        values=own.quantity,
        zero_frequency="centre",
        beam=(None, None),
        image_shape=options.image_shape or saved.image_shape,
    )
    return (operator or own).from_recording(saved.y[0], None if saved.mask is None else saved.mask[0], known)


def _settings(path: Path, arrays: dict[str, StoredArray]) -> dict[str, Any] | None:
    """What a saved measurement says about itself; None for anybody else's file."""
    if set(arrays) == {""}:
        return settings_beside(path)
    stored = arrays.get(SETTINGS)
    if stored is not None and stored.refusal:
        stored.read()  # raises: settings that are damaged or kept elsewhere are not passed over
    if stored is None or stored.dtype.kind != "U":
        return None
    if math.prod(stored.shape or ()) * stored.dtype.itemsize > 4 * MAX_CHARACTERS:
        return None
    text = stored.read().reshape(-1)
    return parse(str(text[0])) if text.size else None


def _restore(path: Path, arrays: dict[str, StoredArray], settings: SavedSettings) -> Measurement:
    stored = arrays.get("y", arrays.get(""))
    if stored is None:
        raise ValueError(f"{path.name!r} has settings but no array y; save the measurement again.")
    values, mask = _saved_values(stored.read(), path.name), None
    if "mask" in arrays:
        mask = torch.from_numpy(_saved_mask(arrays["mask"].read(), path.name))[None]
    elif "" in arrays and bool(np.isnan(values).any()):
        mask = torch.from_numpy(~np.isnan(values))[None]
    return Measurement(
        torch.from_numpy(values)[None], settings.operator, mask, settings.image_shape, settings.noise_floor
    )


def _saved_values(values: np.ndarray, file: str) -> np.ndarray:
    """``y`` as float32 (float64 stays), whatever it was stored as."""
    if values.dtype.kind not in "biuf":
        raise ValueError(f"y in {file!r} is of type {values.dtype}, not real numbers; save the measurement again.")
    double = values.dtype.kind == "f" and values.dtype.itemsize >= 8
    with np.errstate(over="ignore"):  # what becomes infinite is refused below
        y = np.array(values, dtype=np.float64 if double else np.float32, order="C")
    if y.size and bool((np.abs(np.where(np.isfinite(y), y, 0)) > MAX_VALUE).any()):
        raise ValueError(f"y in {file!r} holds values beyond {MAX_VALUE:g}; save the measurement again in other units.")
    return y


def _saved_mask(mask: np.ndarray, file: str) -> np.ndarray:
    """A mask of zeros and ones of any type as booleans."""
    if mask.dtype.kind not in "biuf" or not bool(((mask == 0) | (mask == 1)).all()):
        raise ValueError(f"the mask in {file!r} holds something else than 0 and 1; save the measurement again.")
    return np.array(mask == 1, order="C")


def _mask_array(arrays: dict[str, StoredArray], options: ReadOptions, file: str) -> np.ndarray | None:
    if options.mask_array:
        return choose_array(arrays, options.mask_array, file, what="mask_array").read()
    return arrays["mask"].read() if "mask" in arrays else None
