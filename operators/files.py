"""Measurements in files: a detector's own data, which need to be told what they are, and saved ones, which know.

Saved files hold ``y`` (C×H×W, zero frequency in the middle), ``mask`` where there is one, and ``sampler_lab``: the
operator's settings, the image's size and the noise floor as JSON. They can be read by anything that reads the format.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .containers import EXTENSIONS, StoredArray, find_arrays, write_arrays
from .detector import bring_to_operator, to_pattern
from .measurement import Measurement
from .operator import Operator
from .phase_retrieval import PhaseRetrieval
from .read_options import ReadOptions, choose_array

__all__ = ["EXTENSIONS", "ReadOptions", "load_measurement", "save_measurement"]

SCHEMA = "sampler-lab/measurement/1"
SETTINGS = "sampler_lab"
OPERATORS = {"phase_retrieval": PhaseRetrieval}


def save_measurement(measurement: Measurement, path: str | Path) -> None:
    """Write ``measurement`` as .npz, .npy, .mat or .h5/.hdf5, by the ending of ``path``; whole or not at all.

    A .npy holds nothing but the values, so there dead pixels become NaN and the settings go into a .json beside it.

    >>> import tempfile
    >>> measurement = PhaseRetrieval().measure(torch.zeros(1, 3, 8, 8), seed=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_measurement(measurement, Path(folder) / "first.npz")
    ...     again = load_measurement(Path(folder) / "first.npz")
    >>> bool((again.y == measurement.y).all()), again.operator == measurement.operator
    (True, True)
    """
    path = Path(path)
    y = measurement.y[0].detach().cpu().numpy()
    settings = {
        "schema": SCHEMA,
        "operator": measurement.operator.to_dict(),
        "image_shape": list(measurement.image_shape),
        "noise_floor": measurement.noise_floor,
    }
    text = json.dumps(settings)
    mask = None if measurement.mask is None else measurement.mask[0].cpu().numpy().astype(np.uint8)
    if path.suffix.lower() == ".npy":
        _write_npy(path, y if mask is None else np.where(mask > 0, y, np.nan).astype(y.dtype), text)
    else:
        write_arrays(path, {"y": y} if mask is None else {"y": y, "mask": mask}, {SETTINGS: text})


def load_measurement(
    path: str | Path, operator: Operator | None = None, options: ReadOptions | None = None
) -> Measurement:
    """Read a measurement.

    Args:
        path: .npz, .npy, .mat (any version), .h5 or .hdf5.
        operator: how the data were recorded. A saved measurement knows; given all the same, this replaces what it says.
        options: how the file's array is to be read. For a saved measurement only ``image_shape``, ``scale`` and
            ``estimate_noise`` count: the rest is known.

    Raises:
        ValueError: see :func:`containers.find_arrays`, :class:`ReadOptions` and :class:`Measurement`; data that need
            an operator and have none.
    """
    path, options = Path(path), options or ReadOptions()
    arrays = find_arrays(path)
    settings = _settings(path, arrays)
    if settings is not None:
        saved = _restore(path, arrays, settings)
        if operator is None and not (options.estimate_noise or options.image_shape or options.scale != 1):
            return saved
        options = replace(
            options,
            values=saved.operator.kind,
            image_shape=options.image_shape or saved.image_shape,
        )
        y, mask = saved.y[0], None if saved.mask is None else saved.mask[0]
        return bring_to_operator(y, mask, operator or saved.operator, options)
    if operator is None:
        raise ValueError(
            f"{path.name!r} does not say how it was recorded; connect a Phase Retrieval node to the operator input."
        )
    if not isinstance(operator, PhaseRetrieval):
        raise ValueError(f"the operator is {type(operator).__name__}; files can be read for Phase Retrieval only.")
    values = choose_array(arrays, options.array, path.name).read(options.frame)
    mask = _mask_array(arrays, options, path.name)
    y, mask = to_pattern(values, mask, options)
    return bring_to_operator(y, mask, operator, options)


def _write_npy(path: Path, y: np.ndarray, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    for target, write in (
        (path, lambda file: np.save(file, y, allow_pickle=False)),
        (path.with_suffix(".json"), lambda file: file.write(text.encode())),
    ):
        temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            with temporary.open("wb") as file:
                write(file)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


def _settings(path: Path, arrays: dict[str, StoredArray]) -> dict[str, Any] | None:
    """What a saved measurement says about itself; None for anybody else's file."""
    text = None
    if SETTINGS in arrays:
        text = str(arrays[SETTINGS].read().reshape(-1)[0])
    elif set(arrays) == {""} and path.with_suffix(".json").is_file():
        text = path.with_suffix(".json").read_text()
    if text is None:
        return None
    try:
        settings = json.loads(text)
    except json.JSONDecodeError:
        return None
    return settings if isinstance(settings, dict) and settings.get("schema") == SCHEMA else None


def _restore(path: Path, arrays: dict[str, StoredArray], settings: dict[str, Any]) -> Measurement:
    name = settings.get("operator", {}).get("operator")
    if name not in OPERATORS:
        raise ValueError(
            f"{path.name!r} was saved with the operator {name!r}, which this version does not know; update."
        )
    missing = [key for key in ("operator", "image_shape", "noise_floor") if key not in settings]
    if missing:
        raise ValueError(f"{path.name!r} lacks {', '.join(missing)} in its settings; save the measurement again.")
    stored = arrays.get("y", arrays.get(""))
    if stored is None:
        raise ValueError(f"{path.name!r} has settings but no array y; save the measurement again.")
    y, mask = torch.from_numpy(np.ascontiguousarray(stored.read()))[None], None
    if "mask" in arrays:
        mask = torch.from_numpy(np.ascontiguousarray(arrays["mask"].read()))[None]
    elif "" in arrays and bool(torch.isnan(y).any()):
        mask = ~torch.isnan(y)
    operator = OPERATORS[name].from_dict(settings["operator"])
    return Measurement(y, operator, mask, tuple(settings["image_shape"]), settings["noise_floor"])


def _mask_array(arrays: dict[str, StoredArray], options: ReadOptions, file: str) -> np.ndarray | None:
    if options.mask_array:
        return choose_array(arrays, options.mask_array, file, what="mask_array").read()
    return arrays["mask"].read() if "mask" in arrays else None
