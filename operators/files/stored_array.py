"""An array in a file that somebody else wrote: what it claims to be, and its values when they are asked for.

What a file says about itself is not believed: sizes are compared with the limits before anything is read, and the
errors of every library become one sentence.
"""

from __future__ import annotations

import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

__all__ = ["MAX_BYTES", "Refused", "StoredArray", "names_of", "reading", "shown"]

#: The largest array that is read, in bytes, counted with 4 or more for each value (it is worked on as float32).
MAX_BYTES = 2**30
#: Above this size an array that takes up so much less in its file is taken for a decompression bomb.
BOMB_BYTES = 2**28
BOMB_RATIO = 200
SHOWN_NAMES = 12
SHOWN_CHARACTERS = 80

#: What NumPy, zipfile and the libraries below them raise about damaged files; a cancelled run is none of these.
DAMAGE = (
    *(ArithmeticError, AttributeError, EOFError, ImportError, LookupError, MemoryError, OSError, RuntimeError),
    *(SyntaxError, TypeError, ValueError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
T = TypeVar("T")


class Refused(ValueError):
    """Already one sentence that names the file and a cure."""


@dataclass(frozen=True)
class StoredArray:
    """An array in a file: its shape and type are known, its values come with :meth:`read`.

    file, name: where it is.
    shape: None when it lies in another file, whose content is unknown.
    load: reads all of it, or one index of its first axis.
    stored: the bytes it takes up in the file, where that is known.
    whole: it is read whole even when one frame is wanted.
    refusal: why it cannot be read, a sentence; empty when it can.
    """

    file: str
    name: str
    shape: tuple[int, ...] | None
    dtype: np.dtype
    load: Callable[[int | None], np.ndarray]
    stored: int | None = None
    whole: bool = False
    refusal: str = ""

    def read(self, frame: int | None = None) -> np.ndarray:
        """The values, or those at index ``frame`` of the first axis.

        Raises:
            ValueError: there is no such frame, it is too large, kept in another file, or damaged.
        """
        if self.refusal:
            raise Refused(self.refusal)
        if frame is not None and not (self.shape and 0 <= frame < self.shape[0]):
            count = self.shape[0] if self.shape else 0
            raise Refused(f"frame is {frame}, but the array in {self.file!r} has {count} (the first is 0).")
        self._check_size(frame)
        return reading(self.file, lambda: self.load(frame))

    def _check_size(self, frame: int | None) -> None:
        shape = self.shape or ()
        values = math.prod(shape if frame is None or self.whole else shape[1:])
        asked = values * max(self.dtype.itemsize, 4)
        everything = math.prod(shape) * self.dtype.itemsize
        if asked > MAX_BYTES:
            raise Refused(
                f"{self._who} in {self.file!r} claims {_gib(asked)}, more than the {_gib(MAX_BYTES)} that are read "
                "at once; set frame if it is a stack, or save the part that you need."
            )
        if self.stored is not None and asked > BOMB_BYTES and everything > BOMB_RATIO * max(self.stored, 1):
            raise Refused(
                f"{self._who} in {self.file!r} would grow from {self.stored} bytes in the file to {_gib(everything)}, "
                "which recorded data do not; if it is what you mean, save it uncompressed."
            )

    @property
    def _who(self) -> str:
        return f"array {shown(self.name)!r}" if self.name else "the array"


def reading(file: str, read: Callable[[], T]) -> T:
    """``read()``, with the errors of every library turned into one sentence."""
    try:
        return read()
    except Refused:
        raise
    except DAMAGE as problem:
        said = " ".join(str(problem).split()).rstrip(".")[:200] or type(problem).__name__
        raise Refused(f"{file!r} could not be read ({said}); it may be damaged or of another format.") from None


def shown(name: str) -> str:
    """A name out of a file, fit to be shown: printable and not too long."""
    name = name if name.isprintable() else ascii(name)[1:-1]
    return name if len(name) <= SHOWN_CHARACTERS else f"{name[:SHOWN_CHARACTERS]}..."


def names_of(arrays: Mapping[str, StoredArray]) -> str:
    """The first dozen of the arrays with their shapes, as a sentence lists them."""
    some = list(arrays.items())[:SHOWN_NAMES]
    listed = [f"{shown(name) or 'the array'} {_shape(array.shape)}" for name, array in some]
    more = [f"and {len(arrays) - len(some)} more"] if len(arrays) > len(some) else []
    return ", ".join(listed + more) or "nothing"


def _shape(shape: tuple[int, ...] | None) -> str:
    if shape is None:
        return "(in another file)"
    return str(list(shape)) if len(shape) <= 8 else f"[{len(shape)} axes]"


def _gib(count: int) -> str:
    return f"{count / 2**30:.3g} GiB"
