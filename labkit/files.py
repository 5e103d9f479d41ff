"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["whole_file", "write_whole"]


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A hidden file beside ``path``, with its ending, to be written; it becomes ``path`` when nothing was raised.

    A disk that is full, or a kill, leaves no empty picture; what ``path`` held before stays until then.
    """
    hidden = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield hidden
        os.replace(hidden, path)
    finally:
        with contextlib.suppress(OSError):
            hidden.unlink()


def write_whole(path: Path, content: bytes) -> None:
    """Write ``content`` as :func:`whole_file` does. Raises ``OSError``; ``path`` is then as it was."""
    with whole_file(path) as hidden:
        hidden.write_bytes(content)
