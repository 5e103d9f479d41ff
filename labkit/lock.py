"""Locks on files that the system releases with their process, a kill included."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["claim", "locked", "own_folder"]

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


@contextlib.contextmanager
def claim(path: Path, wait: bool = False) -> Iterator[bool]:
    """Whether nobody else holds the lock ``path``; if so, we do inside the ``with``, and the file goes afterwards.

    wait: until it is ours.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("ab") as file:
            ours = _try_unless_unknown(file) and _is_still(path, file)
            if wait and not ours:
                time.sleep(0.05)
                continue
            try:
                yield ours
            finally:
                if ours:
                    with contextlib.suppress(OSError):  # Windows removes no open file: it stays, and does no harm
                        path.unlink()
            return


@contextlib.contextmanager
def own_folder(parent: Path, name: str) -> Iterator[tuple[Path, int]]:
    """A folder ``parent/NAME-K`` that no other process has until we leave it, and its K: the first that is free.

    It keeps what was in it, so there are never more of them than were in use at the same time.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        folder = parent / f"{name}-{number}"
        with folder.with_name(f"{folder.name}.lock").open("ab") as file:
            if _try(file):
                folder.mkdir(exist_ok=True)
                yield folder, number
                return


def _try_unless_unknown(file: BinaryIO) -> bool:
    """A file system that has no locks (some network ones) must not stop the work."""
    try:
        return _try(file)
    except OSError:
        return True


def _is_still(path: Path, file: BinaryIO) -> bool:
    """Whether ``path`` is the open ``file``: one removed between our opening and our locking is no lock any more."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except OSError:
        return False
