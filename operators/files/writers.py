"""Arrays and texts into files of the format that their names end in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...diffusion.files import replacing

__all__ = ["write_arrays"]


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], text: Mapping[str, str]) -> None:
    """Write named arrays and texts in the format that the name ends in, whole or not at all.

    Raises:
        ValueError: an unknown ending, or the package that writes it is not installed.
    """
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise ValueError(f"cannot write {path.name!r}; its name must end in {', '.join(_WRITERS)}.")
    try:
        with replacing(path) as temporary:
            writer(temporary, arrays, text)
    except ImportError as problem:
        package = str(problem.name).split(".")[0]
        raise ValueError(
            f"{path.name!r} needs the Python package {package}: pip install {package}, or save as .npz."
        ) from None


def _write_npz(path: Path, arrays: Mapping[str, np.ndarray], text: Mapping[str, str]) -> None:
    with path.open("wb") as file:  # given a name, numpy would append .npz to it
        everything: dict[str, Any] = {**arrays, **{name: np.array(value) for name, value in text.items()}}
        np.savez_compressed(file, **everything)


def _write_mat(path: Path, arrays: Mapping[str, np.ndarray], text: Mapping[str, str]) -> None:
    from scipy.io import savemat

    savemat(path, {**arrays, **text}, appendmat=False, do_compression=True)


def _write_hdf5(path: Path, arrays: Mapping[str, np.ndarray], text: Mapping[str, str]) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        for name, value in arrays.items():
            file.create_dataset(name, data=value, compression="gzip" if value.ndim else None)
        for name, sentence in text.items():
            file[name] = sentence


_WRITERS: dict[str, Callable[[Path, Mapping[str, np.ndarray], Mapping[str, str]], None]] = {
    ".npz": _write_npz,
    ".mat": _write_mat,
    ".h5": _write_hdf5,
    ".hdf5": _write_hdf5,
}
