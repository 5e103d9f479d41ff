"""Arrays in files: NumPy (.npy, .npz), MATLAB (4 to 7.3) and HDF5, told apart by their first bytes.

Nothing is ever unpickled, so a file cannot run code.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["EXTENSIONS", "read_arrays", "write_arrays"]

EXTENSIONS = (".npz", ".npy", ".mat", ".h5", ".hdf5")

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
SIGNATURES = ((b"\x93NUMPY", "npy"), (b"PK\x03\x04", "npz"), (HDF5_SIGNATURE, "hdf5"))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All numeric and text arrays of a file by name; the single one of a .npy is called ``""``.

    HDF5 groups give names like ``entry/data``. MATLAB 7.3 files store arrays with the axes reversed; they come back in
    MATLAB's order.

    Raises:
        ValueError: no such file, not one of the formats, damaged, or a package is missing.
    """
    if not path.is_file():
        raise ValueError(f"file {path.name!r} was not found; check its name and folder.")
    kind = _format_of(path)
    try:
        return _READERS[kind](path)
    except ImportError as problem:
        raise ValueError(
            f"{path.name!r} needs the Python package {problem.name!r}: pip install {problem.name}."
        ) from None
    # Each library has its own errors for damaged files; zipfile's, scipy's and h5py's are all among these.
    except (OSError, ValueError, TypeError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile) as problem:
        raise ValueError(
            f"{path.name!r} could not be read ({problem}); it may be damaged or of another format."
        ) from None


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


def _read_npy(path: Path) -> dict[str, np.ndarray]:
    return {"": np.load(path, allow_pickle=False)}


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _read_mat(path: Path) -> dict[str, np.ndarray]:
    from scipy.io import loadmat

    found = loadmat(path)
    return {
        name: value
        for name, value in found.items()
        if not name.startswith("__") and isinstance(value, np.ndarray) and value.dtype.kind in "biufcU"
    }


def _read_hdf5(path: Path) -> dict[str, np.ndarray]:
    import h5py

    found: dict[str, np.ndarray] = {}

    def visit(name: str, node: Any) -> None:
        if not isinstance(node, h5py.Dataset) or node.dtype.kind not in "biufcSOV" or name.startswith("#refs#"):
            return
        if h5py.check_string_dtype(node.dtype) is not None:
            found[name] = np.array(node.asstr()[()])
            return
        value = np.asarray(node[()])
        if value.dtype.kind == "V" and value.dtype.names == ("real", "imag"):  # MATLAB 7.3 writes complex so
            value = value["real"] + 1j * value["imag"]
        if value.dtype.kind not in "biufc":
            return
        found[name] = value.T if "MATLAB_class" in node.attrs else value

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return found


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


_READERS: dict[str, Callable[[Path], dict[str, np.ndarray]]] = {
    "npy": _read_npy,
    "npz": _read_npz,
    "mat": _read_mat,
    "hdf5": _read_hdf5,
}
_WRITERS: dict[str, Callable[[Path, Mapping[str, np.ndarray], Mapping[str, str]], None]] = {
    ".npz": _write_npz,
    ".mat": _write_mat,
    ".h5": _write_hdf5,
    ".hdf5": _write_hdf5,
}
