"""Arrays in NumPy's files, .npy and .npz, read without unpickling and without inflating more than is asked for."""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .stored_array import Refused, StoredArray, reading, shown

__all__ = ["find_npy", "find_npz"]

MAX_HEADER = 10_000  # as NumPy itself has it: the header is Python source, and long sources can be made to hurt
MAX_MEMBERS = 10_000
BLOCK = 2**20
AS_NUMBERS = "save it as a numeric array"


@dataclass(frozen=True)
class Header:
    """What the first bytes of a .npy say; ``start`` is where the values begin."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    start: int


def find_npy(path: Path) -> dict[str, StoredArray]:
    """The one array of a .npy, called ``""``."""
    with path.open("rb") as file:
        header = read_header(file)
    size = path.stat().st_size - header.start
    return {"": _stored(path.name, "", header, size, lambda: path.open("rb"))}


def find_npz(path: Path) -> dict[str, StoredArray]:
    """The arrays of a .npz by name; a member that is none is left out, a damaged one refused when it is asked for."""
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
        if len(members) > MAX_MEMBERS:
            raise Refused(
                f"{path.name!r} holds {len(members)} arrays, more than {MAX_MEMBERS}; save the measurement by itself."
            )
        names = [member.filename.removesuffix(".npy") for member in members]
        return {name: _member(path, archive, name, member) for name, member in zip(names, members, strict=True)}


def _member(path: Path, archive: zipfile.ZipFile, name: str, member: zipfile.ZipInfo) -> StoredArray:
    unknown = StoredArray(path.name, name, None, np.dtype(object), lambda _: np.empty(0))
    if member.flag_bits & 1:
        return _refused(unknown, "is encrypted", "save it without a password")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return _refused(unknown, "is compressed in a way that NumPy does not use", "save it with numpy.savez")

    def header_of_member() -> Header:
        with archive.open(member) as stream:
            return read_header(stream)

    def opened() -> _Member:
        return _Member(path, member.filename)

    try:
        header = reading(path.name, header_of_member)
    except Refused as problem:
        return StoredArray(path.name, name, None, np.dtype(object), unknown.load, refusal=str(problem))
    return _stored(path.name, name, header, member.file_size - header.start, opened, member.compress_size)


class _Member(io.BufferedIOBase):
    """A member of an archive as a stream that closes the archive with itself."""

    def __init__(self, path: Path, name: str) -> None:
        self._archive = zipfile.ZipFile(path)
        self._stream = self._archive.open(name)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def read(self, size: int | None = -1) -> bytes:
        return self._stream.read(-1 if size is None else size)

    def close(self) -> None:
        self._stream.close()
        self._archive.close()
        super().close()


def _stored(
    file: str, name: str, header: Header, size: int, opened: Callable[[], Any], packed: int | None = None
) -> StoredArray:
    def load(frame: int | None) -> np.ndarray:
        with opened() as stream:
            return _values(stream, header, frame)

    stored = StoredArray(file, name, header.shape, header.dtype, load, packed, whole=header.fortran)
    if header.dtype.hasobject:
        return _refused(stored, "holds Python objects, which could run code", AS_NUMBERS)
    if header.dtype.kind not in "biufcUS":
        return _refused(stored, "holds neither numbers nor text", AS_NUMBERS)
    if math.prod(header.shape) * header.dtype.itemsize > size:
        return _refused(stored, "is cut short", "it may be damaged or of another format")
    return stored


def _refused(stored: StoredArray, why: str, cure: str) -> StoredArray:
    who = f"array {shown(stored.name)!r}" if stored.name else "the array"
    refusal = f"{stored.file!r} could not be read ({who} {why}); {cure}."
    return StoredArray(stored.file, stored.name, stored.shape, stored.dtype, stored.load, refusal=refusal)


def read_header(stream: Any) -> Header:
    """The header of a .npy; never more than :data:`MAX_HEADER` bytes of it are read.

    Raises:
        ValueError: damaged, too long, or of a version that only structured arrays need.
    """
    magic = stream.read(8)
    version = (magic[6], magic[7]) if len(magic) == 8 and magic.startswith(b"\x93NUMPY") else None
    if version not in ((1, 0), (2, 0)):
        raise ValueError("it is no NumPy array of version 1 or 2")
    field = stream.read(2 if version == (1, 0) else 4)
    length = int.from_bytes(field, "little")
    if length > MAX_HEADER:
        raise ValueError(f"its header claims {length} bytes")
    text = io.BytesIO(field + stream.read(length))
    parse = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "written by Python 2", or a mutated dtype that is going out of use
        shape, fortran, dtype = parse(text)
    if any(isinstance(n, bool) or n < 0 for n in shape) or dtype.subdtype is not None:
        raise ValueError(f"its header claims the shape {shape}")
    return Header(tuple(shape), fortran, dtype, len(magic) + len(field) + length)


def _values(stream: Any, header: Header, frame: int | None) -> np.ndarray:
    shape, start = header.shape, header.start
    if frame is not None and not header.fortran:  # frames lie one after the other: the others are skipped
        shape = shape[1:]
        start += frame * math.prod(shape) * header.dtype.itemsize
    content = bytearray(math.prod(shape) * header.dtype.itemsize)
    stream.seek(start)
    for begin in range(0, len(content), BLOCK):
        block = stream.read(min(BLOCK, len(content) - begin))
        if len(block) < min(BLOCK, len(content) - begin):
            raise ValueError("it is cut short")
        content[begin : begin + len(block)] = block
    if header.dtype.itemsize == 0 or not content:
        return np.empty(shape, header.dtype)
    values = np.frombuffer(content, header.dtype).reshape(shape, order="F" if header.fortran else "C")
    return values[frame] if frame is not None and header.fortran else values
