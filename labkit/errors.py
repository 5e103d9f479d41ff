"""Errors with a sentence for the person at the terminal."""

from __future__ import annotations

import errno

__all__ = ["LabError", "about_file"]

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


class LabError(Exception):
    """Something a person can act on: the message says what is wrong and what to do. Shown without a traceback."""


def about_file(error: OSError) -> str:
    """What the system refused, as one sentence with its file and a cure."""
    reason = error.strerror or str(error)
    name = error.filename2 or error.filename
    if error.errno in _FULL:
        where = f" ({name})" if name else ""
        return f"The disk is full{where}: free some space and start again; what was finished is kept."
    if error.errno in _FORBIDDEN and name:
        return (
            f"{name} cannot be written ({reason}). The lab writes below .lab/ and output/ of its own folder: make that "
            "folder yours (a clone or a copy in your home folder), or start lab.py as the one whose it is."
        )
    return f"{name}: {reason}." if name else f"The system refused: {reason}."
