"""The pack inside a base directory's ``custom_nodes/``: a symbolic link, on Windows a junction (it needs no rights)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from .errors import LabError

__all__ = ["link_folder"]


def link_folder(target: Path, link: Path) -> None:
    """Make ``link`` lead to the folder ``target``; a link that leads elsewhere is replaced, a real folder is not.

    Raises ``LabError`` when something real is in the way or the link cannot be made.
    """
    target = target.resolve()
    if os.path.lexists(link):
        if link.resolve() == target:
            return
        if not _is_link(link):
            raise LabError(f"{link} is in the way: remove it, the lab puts a link to the pack there.")
        if os.name == "nt":
            os.rmdir(link)  # takes the junction, not what it leads to
        else:
            link.unlink()
    link.parent.mkdir(parents=True, exist_ok=True)
    if os.name == "nt":
        made = subprocess.run(
            ["cmd", "/c", "mklink", "/J", str(link), str(target)], capture_output=True, text=True, check=False
        )
        if made.returncode != 0:
            raise LabError(f"The link {link} to {target} cannot be made: {(made.stderr or made.stdout).strip()}")
    else:
        link.symlink_to(target, target_is_directory=True)


def _is_link(path: Path) -> bool:
    # A junction is no symlink for Python before 3.12, but its real path differs from its own.
    return path.is_symlink() or (os.name == "nt" and os.path.realpath(path) != os.path.abspath(path))
