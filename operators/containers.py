"""Arrays in files: NumPy (.npy, .npz), MATLAB (4 to 7.3) and HDF5, told apart by their first bytes.

Nothing is ever unpickled, so a file cannot run code. HDF5 arrays are read only when asked for: a detector's file may
hold a thousand frames of which one is wanted.
"""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["EXTENSIONS", "StoredArray", "find_arrays", "write_arrays"]

EXTENSIONS = (".npz", ".npy", ".mat", ".h5", ".hdf5")

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
SIGNATURES = ((b"\x93NUMPY", "npy"), (b"PK\x03\x04", "npz"), (HDF5_SIGNATURE, "hdf5"))


@dataclass(frozen=True)
class StoredArray:
    """An array in a file: its shape and type are known, its values come with :meth:`read`."""

    file: str
    shape: tuple[int, ...]
    dtype: np.dtype
    load: Callable[[int | None], np.ndarray]

    def read(self, frame: int | None = None) -> np.ndarray:
        """The values, or those at index ``frame`` of the first axis.

        Raises:
            ValueError: there is no such frame, or the file is damaged.
        """
        if frame is not None and not (self.shape and 0 <= frame < self.shape[0]):
            count = self.shape[0] if self.shape else 0
            raise ValueError(f"frame is {frame}, but the array in {self.file!r} has {count} (the first is 0).")
        return _reading(self.file, lambda: self.load(frame))


def find_arrays(path: Path) -> dict[str, StoredArray]:
    """All numeric and text arrays of a file by name; the single one of a .npy is called ``""``.

    HDF5 groups give names like ``entry/data``. MATLAB 7.3 files store arrays with the axes reversed; they come back in
    MATLAB's order.

    Raises:
        ValueError: no such file, not one of the formats, damaged, or a package is missing.
    """
    if not path.is_file():
        raise ValueError(f"file {path.name!r} was not found; check its name and folder.")
    finder = _FINDERS[_format_of(path)]
    return _reading(path.name, lambda: finder(path))


def _reading(file: str, read: Callable[[], Any]) -> Any:
    """``read()``, with the errors of every library turned into one sentence."""
    try:
        return read()
    except ImportError as problem:
        name = problem.name
        raise ValueError(f"{file!r} needs the Python package {name!r}; install it with: pip install {name}.") from None
    # Each library has errors of its own for damaged files; zipfile's, zlib's, scipy's and h5py's are all among these.
    except (
        *(OSError, ValueError, TypeError, KeyError, IndexError, EOFError, NotImplementedError, MemoryError),
        *(zipfile.BadZipFile, zlib.error, struct.error),
    ) as problem:
        raise ValueError(f"{file!r} could not be read ({problem}); it may be damaged or of another format.") from None


def _in_memory(path: Path, arrays: Mapping[str, np.ndarray]) -> dict[str, StoredArray]:
    def store(value: np.ndarray) -> StoredArray:
        return StoredArray(path.name, value.shape, value.dtype, lambda i: value if i is None else value[i])

    return {name: store(value) for name, value in arrays.items()}


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], text: Mapping[str, str]) -> None:
    """Write named arrays and texts in the format that the name ends in, whole or not at all.

    Raises:
        ValueError: an unknown ending.
    """
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise ValueError(f"cannot write {path.name!r}; its name must end in {', '.join(_WRITERS)}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        writer(temporary, arrays, text)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _format_of(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(520)
    for signature, kind in SIGNATURES:
        if head.startswith(signature):
            return kind
    if head[512:520] == HDF5_SIGNATURE:  # MATLAB 7.3 puts its own header in front
        return "hdf5"
    if head.startswith(b"MATLAB 5.0") or path.suffix.lower() == ".mat":
        return "mat"
    raise ValueError(f"{path.name!r} is none of the formats that can be read: {', '.join(EXTENSIONS)}.")


def _find_npy(path: Path) -> dict[str, StoredArray]:
    return _in_memory(path, {"": np.load(path, allow_pickle=False)})


def _find_npz(path: Path) -> dict[str, StoredArray]:
    with np.load(path, allow_pickle=False) as archive:
        return _in_memory(path, {name: archive[name] for name in archive.files})


def _find_mat(path: Path) -> dict[str, StoredArray]:
    from scipy.io import loadmat

    arrays = {name: value for name, value in loadmat(path).items() if not name.startswith("__")}
    return _in_memory(path, {k: v for k, v in arrays.items() if isinstance(v, np.ndarray) and v.dtype.kind in "biufcU"})


def _find_hdf5(path: Path) -> dict[str, StoredArray]:
    import h5py

    found: dict[str, StoredArray] = {}

    def visit(name: str, node: Any) -> None:
        if not isinstance(node, h5py.Dataset) or node.shape is None or name.startswith("#refs#"):
            return
        is_complex = node.dtype.names == ("real", "imag")  # as MATLAB 7.3 writes it
        is_text = h5py.check_string_dtype(node.dtype) is not None
        if node.dtype.kind in "biufc" or is_complex or is_text:
            reversed_axes = "MATLAB_class" in node.attrs
            shape = node.shape[::-1] if reversed_axes else node.shape
            dtype = np.dtype(complex if is_complex else str if is_text else node.dtype)
            found[name] = StoredArray(path.name, shape, dtype, lambda i: _read_hdf5(path, name, i, reversed_axes))

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return found


def _read_hdf5(path: Path, name: str, frame: int | None, reversed_axes: bool) -> np.ndarray:
    import h5py

    with h5py.File(path, "r") as file:
        node = file[name]
        where = () if frame is None else (..., frame) if reversed_axes else frame
        if h5py.check_string_dtype(node.dtype) is not None:
            return np.array(node.asstr()[where])
        value = np.asarray(node[where])
    if value.dtype.names == ("real", "imag"):
        value = value["real"] + 1j * value["imag"]
    return value.T if reversed_axes else value


def _write_npz(path: Path, arrays: Mapping[str, np.ndarray], text: Mapping[str, str]) -> None:
    with path.open("wb") as file:  # given a name, numpy would append .npz to it
        np.savez_compressed(file, **arrays, **{name: np.array(value) for name, value in text.items()})


def _write_mat(path: Path, arrays: Mapping[str, np.ndarray], text: Mapping[str, str]) -> None:
    from scipy.io import savemat

    savemat(path, {**arrays, **text}, appendmat=False, do_compression=True)


def _write_hdf5(path: Path, arrays: Mapping[str, np.ndarray], text: Mapping[str, str]) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        for name, value in arrays.items():
            file.create_dataset(name, data=value, compression="gzip" if value.ndim else None)
        for name, value in text.items():
            file[name] = value


_FINDERS: dict[str, Callable[[Path], dict[str, StoredArray]]] = {
    "npy": _find_npy,
    "npz": _find_npz,
    "mat": _find_mat,
    "hdf5": _find_hdf5,
}
_WRITERS: dict[str, Callable[[Path, Mapping[str, np.ndarray], Mapping[str, str]], None]] = {
    ".npz": _write_npz,
    ".mat": _write_mat,
    ".h5": _write_hdf5,
    ".hdf5": _write_hdf5,
}
