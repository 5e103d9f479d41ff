"""The program that reads MATLAB and HDF5 files for its parent, one request after the other.

Run by path and never imported by the pack, so it must find everything in the standard library, NumPy and the reader
itself: torch would make its start slow, and the pack's folder may have any name.

A request is a line of JSON on the standard input: ``do`` (list or read), ``format`` (mat or hdf5), ``path``,
``seconds``, and to read ``name`` and ``frame``. The answer is two lengths (big-endian, 8 bytes each), that much JSON,
and that many bytes of an array: never a pickle. The process ends when its standard input does, so it does not outlive
the parent, and after a minute without work.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import struct
import sys
import threading
from collections.abc import Iterator
from typing import Any

IDLE_SECONDS = 60
MAX_ARRAYS = 10_000
MAX_CHARACTERS = 1_000_000
#: What whosmat calls the classes that hold numbers or text, and the kind of values that loadmat makes of them.
MATLAB_CLASSES = {
    "double": "<f8",
    "single": "<f4",
    **{f"{sign}int{bits}": f"<{sign or 'i'}{bits // 8}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "logical": "|b1",
    "char": "<U1",
}


# -- MATLAB 4 to 7.2 ---------------------------------------------------------------------------------------------------


def list_mat(path: str) -> list[dict[str, Any]]:
    """What the headers of the variables say; no values are read."""
    from scipy.io import whosmat

    found = []
    for name, shape, matlab_class in whosmat(path, appendmat=False):
        if matlab_class in MATLAB_CLASSES:
            found.append({"name": name, "shape": list(shape), "dtype": MATLAB_CLASSES[matlab_class]})
    return found


def read_mat(path: str, name: str, frame: int | None) -> Any:
    """One variable; the others are skipped."""
    from scipy.io import loadmat

    value = loadmat(path, variable_names=[name], appendmat=False)[name]
    return value if frame is None else value[frame]


# -- HDF5 and MATLAB 7.3 -----------------------------------------------------------------------------------------------


def list_hdf5(path: str) -> list[dict[str, Any]]:
    """Every dataset that hard links lead to, and the other links without following them."""
    import h5py

    found: list[dict[str, Any]] = []
    with h5py.File(path, "r") as file:
        seen = {_identity(file)}
        waiting = [("", file)]
        while waiting and len(found) <= MAX_ARRAYS:
            prefix, group = waiting.pop()
            for key in group:
                name = f"{prefix}{key}"
                how = _link(group, key)
                if how:
                    found.append({"name": name, "shape": None, "dtype": None, "refusal": how})
                    continue
                node = _open(group, key)
                if _identity(node) in seen or name == "#refs#":  # #refs#: the cells of MATLAB's cell arrays
                    continue
                seen.add(_identity(node))
                if isinstance(node, h5py.Group):
                    waiting.append((f"{name}/", node))
                elif isinstance(node, h5py.Dataset):
                    found += _describe(name, node)
    return sorted(found, key=lambda each: each["name"])


def read_hdf5(path: str, name: str, frame: int | None) -> Any:
    """The values of one dataset, or of one index of its first axis; MATLAB's axes are turned back."""
    import h5py
    import numpy as np

    with h5py.File(path, "r") as file:
        node = file
        for key in name.split("/"):
            if _link(node, key):
                raise ValueError(f"{key} is a link")
            node = _open(node, key)
        if _elsewhere(node):
            raise ValueError("its values are in another file")
        reversed_axes = "MATLAB_class" in node.attrs
        where = () if frame is None else (..., frame) if reversed_axes else frame
        if h5py.check_string_dtype(node.dtype) is not None:
            if node.size > MAX_CHARACTERS:
                raise ValueError("it holds too much text")
            return np.array(node.asstr()[where])
        value = np.asarray(node[where])
    if value.dtype.names == ("real", "imag"):
        value = value["real"] + 1j * value["imag"]
    return value.T if reversed_axes else value


def _identity(node: Any) -> tuple[int, int]:
    """The file and the place in it where an object lies."""
    from h5py import h5o

    info = h5o.get_info(node.id)
    return info.fileno, info.addr


def _link(group: Any, key: str) -> str:
    """How a name leads away, or nothing if the object lies right there."""
    import h5py

    link = group.get(key, getlink=True)
    if isinstance(link, h5py.HardLink):
        return ""
    return "soft link" if isinstance(link, h5py.SoftLink) else "external link"


def _open(group: Any, key: str) -> Any:
    """The object behind a hard link, after making sure that the library has not left the file for it."""
    node = group[key]
    if _identity(node)[0] != _identity(group)[0]:
        raise ValueError(f"{key} lies in another file")
    return node


def _elsewhere(node: Any) -> str:
    """How a dataset keeps its values in another file, or nothing; asked before its shape, which may open that file."""
    return "virtual dataset" if node.is_virtual else "external storage" if node.external else ""


def _describe(name: str, node: Any) -> list[dict[str, Any]]:
    import h5py

    how = _elsewhere(node)
    if how:
        return [{"name": name, "shape": None, "dtype": None, "refusal": how}]
    is_complex = node.dtype.names == ("real", "imag")  # as MATLAB 7.3 writes it
    is_text = h5py.check_string_dtype(node.dtype) is not None
    if node.shape is None or not (node.dtype.kind in "biufc" or is_complex or is_text):
        return []
    shape = node.shape[::-1] if "MATLAB_class" in node.attrs else node.shape
    dtype = "<c16" if is_complex else "<U1" if is_text else node.dtype.str
    return [{"name": name, "shape": [int(n) for n in shape], "dtype": dtype, "stored": node.id.get_storage_size()}]


LIST = {"mat": list_mat, "hdf5": list_hdf5}
READ = {"mat": read_mat, "hdf5": read_hdf5}


# -- requests and answers ----------------------------------------------------------------------------------------------


def answer(request: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """The JSON and the bytes of an answer; what a library raises about a file is an answer as well."""
    try:
        if request["do"] == "list":
            arrays = LIST[request["format"]](request["path"])
            if len(arrays) > MAX_ARRAYS:
                raise ValueError(f"it holds more than {MAX_ARRAYS} arrays")
            return {"arrays": arrays}, b""
        return _packed(READ[request["format"]](request["path"], request["name"], request["frame"]))
    except ImportError as problem:
        return {"missing": problem.name or str(problem)}, b""
    except MemoryError:
        return {"memory": True}, b""
    # Every kind of error there is: libraries that meet a damaged file raise whatever they happen to stumble over.
    except Exception as problem:  # noqa: BLE001
        says_little = isinstance(problem, LookupError) or not str(problem)
        said = f"{type(problem).__name__} {problem}" if says_little else str(problem)
        return {"problem": said[:1000]}, b""


def _packed(value: Any) -> tuple[dict[str, Any], Any]:
    import numpy as np

    value = np.asarray(value)
    if value.dtype.kind == "U" or (value.dtype.kind == "O" and all(isinstance(each, str) for each in value.flat)):
        text = [str(each) for each in value.reshape(-1)]
        if sum(map(len, text)) > MAX_CHARACTERS:
            raise ValueError(f"it holds more than {MAX_CHARACTERS} characters")
        return {"text": text, "shape": list(value.shape)}, b""
    if value.dtype.kind not in "biufc":
        raise ValueError(f"it holds values of type {value.dtype}")
    content = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
    return {"dtype": value.dtype.str, "shape": list(value.shape)}, content


def requests() -> Iterator[dict[str, Any]]:
    """The lines of the standard input, until it ends or nothing has come for a minute."""
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def listen() -> None:  # in a thread of its own, so that the end is noticed in the middle of some work
        rest = b""
        while block := os.read(0, 65536):
            *whole, rest = (rest + block).split(b"\n")
            for line in whole:
                lines.put(line)
        os._exit(3)

    threading.Thread(target=listen, daemon=True).start()
    with contextlib.suppress(queue.Empty):
        while True:
            yield json.loads(lines.get(timeout=IDLE_SECONDS))


def limit(memory: int, seconds: float | None = None) -> None:
    """Bound this process where the system can: its address space, its processor time from now on, and no core file."""
    try:
        import resource
    except ImportError:  # Windows; the parent's clock is all there is
        return
    bounds = {resource.RLIMIT_AS: memory, resource.RLIMIT_CORE: 0}
    if seconds is not None:  # the parent's clock stops with the parent
        bounds = {resource.RLIMIT_CPU: math.ceil(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) + 2 * seconds)}
    for what, value in bounds.items():
        hard = resource.getrlimit(what)[1]
        with contextlib.suppress(ValueError, OSError):  # macOS refuses some of them
            resource.setrlimit(what, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def main() -> None:
    memory = int(sys.argv[1])
    # Answers go out by a copy of the standard output; what a library may print there goes nowhere.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    limit(memory)
    for request in requests():
        limit(memory, request["seconds"])
        head, content = answer(request)
        written = json.dumps(head).encode()
        out.write(struct.pack(">QQ", len(written), len(content)) + written)
        out.write(content)
        out.flush()
    os._exit(0)  # the listening thread still waits for a line


if __name__ == "__main__":
    main()
