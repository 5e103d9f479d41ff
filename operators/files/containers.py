"""Arrays in files: NumPy (.npy, .npz), MATLAB (4 to 7.3) and HDF5, told apart by their first bytes.

Nothing is ever unpickled, so a file cannot run code; nothing outside the file is read; and only the array that is asked
for is. NumPy's formats are read here. MATLAB's and HDF5's libraries are written in C and crash when a file is damaged,
so a process of its own calls them (see :mod:`reader_process`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .numpy_files import find_npy, find_npz
from .reader_process import READER
from .stored_array import StoredArray, reading, shown
from .writers import write_arrays

__all__ = ["EXTENSIONS", "StoredArray", "find_arrays", "write_arrays"]

EXTENSIONS = (".npz", ".npy", ".mat", ".h5", ".hdf5")

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
SIGNATURES = ((b"\x93NUMPY", "npy"), (b"PK\x03\x04", "npz"), (HDF5_SIGNATURE, "hdf5"))

Interrupt = Callable[[], None]


def find_arrays(path: Path, interrupt: Interrupt = lambda: None) -> dict[str, StoredArray]:
    """All numeric and text arrays of a file by name; the single one of a .npy is called ``""``.

    HDF5 groups give names like ``entry/data``. MATLAB 7.3 files store arrays with the axes reversed; they come back in
    MATLAB's order. Arrays that lie in another file (HDF5's external links and storage, virtual datasets) are named, but
    not read. ``interrupt`` is called again and again while a file is read, and may raise to end that.

    Raises:
        ValueError: no such file, not one of the formats, damaged, or a package is missing.
    """
    if not path.is_file():
        raise ValueError(f"file {path.name!r} was not found; check its name and folder.")
    file_format = reading(path.name, lambda: _format_of(path))
    if file_format is None:
        raise ValueError(f"{path.name!r} is none of the formats that can be read: {', '.join(EXTENSIONS)}.")
    if file_format in ("npy", "npz"):
        return reading(path.name, lambda: (find_npy if file_format == "npy" else find_npz)(path))
    return reading(path.name, lambda: _find_by_process(path, file_format, interrupt))


def _format_of(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(520)
    for signature, file_format in SIGNATURES:
        if head.startswith(signature):
            return file_format
    if head[512:520] == HDF5_SIGNATURE:  # MATLAB 7.3 puts its own header in front
        return "hdf5"
    if head.startswith(b"MATLAB 5.0") or path.suffix.lower() == ".mat":
        return "mat"
    return None


def _find_by_process(path: Path, file_format: str, interrupt: Interrupt) -> dict[str, StoredArray]:
    size = path.stat().st_size

    def stored(entry: dict[str, Any]) -> StoredArray:
        name, how = entry["name"], entry.get("refusal")
        if how:
            dtype = np.dtype("V" if how == "soft link" else "f")
            return StoredArray(path.name, name, None, dtype, lambda _: np.empty(0), refusal=_refusal(path, name, how))
        shape, dtype = tuple(entry["shape"]), np.dtype(entry["dtype"])
        if any(n < 0 for n in shape):
            raise ValueError(f"array {shown(name)!r} claims the shape {shape}")
        whole = file_format == "mat"

        def load(frame: int | None) -> np.ndarray:
            count = math.prod(shape if frame is None or whole else shape[1:]) * dtype.itemsize
            return READER.read(path, file_format, name, frame, count, interrupt)

        return StoredArray(path.name, name, shape, dtype, load, min(entry.get("stored", size), size), whole)

    return {entry["name"]: stored(entry) for entry in READER.arrays(path, file_format, interrupt)}


def _refusal(path: Path, name: str, how: str) -> str:
    if how == "soft link":
        return f"{shown(name)!r} in {path.name!r} is a soft link; name the array itself."
    return (
        f"{shown(name)!r} in {path.name!r} has its values in another file ({how}), which is not followed; save "
        "the array itself into this file."
    )
