"""One set-up at a time: a lock on ``.lab/lock`` that the system releases with its process, a kill included."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["locked"]

if os.name == "nt":
    import msvcrt

    def _try(file: BinaryIO) -> bool:
        try:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try(file: BinaryIO) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextlib.contextmanager
def locked(path: Path, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock ``path``; while another process does, wait, and tell ``on_wait`` once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The file stays: removing a lock file that somebody else has just opened would let both in.
    with path.open("ab") as file:
        told = False
        while not _try(file):
            if on_wait and not told:
                on_wait()
            told = True
            time.sleep(0.2)
        yield
