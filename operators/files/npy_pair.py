"""A measurement in two files, values in a .npy and settings in a .json beside it, that are saved and read as a pair.

Two files cannot be replaced in one step. So the settings carry the SHA-256 of the .npy they belong to, and while a pair
is replaced the .json describes both: the new one, and under ``previous`` the old one. Whenever the work is cut off, the
settings of the .npy that is there are there too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...diffusion.files import replacing
from .saved_settings import MAX_CHARACTERS, parse

__all__ = ["save_pair", "settings_beside"]


def save_pair(path: Path, y: np.ndarray, settings: Mapping[str, Any]) -> None:
    """Write ``y`` to ``path`` and ``settings`` beside it: afterwards both are there, or what was there before is.

    Raises:
        ValueError: the .json beside it is somebody else's.
    """
    beside = path.with_suffix(".json")
    old = _settings_in(beside)
    if beside.exists() and old is None:
        raise ValueError(
            f"{beside.name!r} is there already and belongs to something else; save under another name, or as npz, "
            "which is one file."
        )
    with replacing(path) as temporary:
        with temporary.open("wb") as file:
            np.save(file, y, allow_pickle=False)
        settings = {**settings, "sha256": _sha256(temporary)}
        between = settings
        if path.is_file():
            found = _sha256(path)
            between = {**settings, "previous": {**(_matching(old, found) or {}), "sha256": found}}
        _write(beside, between)
    if between is not settings:
        _write(beside, settings)


def settings_beside(path: Path) -> dict[str, Any] | None:
    """The settings that belong to the .npy at ``path``; None when there are none of this pack.

    Raises:
        ValueError: they belong to another .npy.
    """
    beside = path.with_suffix(".json")
    if beside.is_symlink():  # a link could lead anywhere
        return None
    settings = _settings_in(beside)
    if settings is None:
        return None
    found = _matching(settings, _sha256(path))
    if found is None:
        raise ValueError(
            f"{beside.name!r} belongs to another {path.name!r} than the one beside it; save the measurement again, or "
            f"remove {beside.name!r} and connect the operator, for example Phase Retrieval."
        )
    return found if "schema" in found else None


def _settings_in(beside: Path) -> dict[str, Any] | None:
    if not beside.is_file() or beside.stat().st_size > 4 * MAX_CHARACTERS:
        return None
    return parse(beside.read_bytes().decode("utf-8", "replace"))


def _matching(settings: dict[str, Any] | None, sha256: str) -> dict[str, Any] | None:
    """Those of the settings that describe the .npy with this hash; releases before 0.2 wrote none, and are believed."""
    if settings is None:
        return None
    candidates = [each for each in (settings, settings.get("previous")) if isinstance(each, dict)]
    return next((each for each in candidates if each.get("sha256", sha256) == sha256), None)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _write(path: Path, settings: Mapping[str, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(settings), encoding="utf-8")
