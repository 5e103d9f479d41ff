"""Which ComfyUI is new enough: told by its number, before anything is fetched or started."""

from __future__ import annotations

import re
from pathlib import Path

from .errors import LabError
from .places import OLDEST_HOST

__all__ = ["require_version", "version_of"]


def version_of(comfyui: Path) -> str | None:
    """The version that a ComfyUI folder says it is (``comfyui_version.py``, else ``pyproject.toml``), if it does."""
    for name, pattern in (
        ("comfyui_version.py", r"""^__version__\s*=\s*["']([^"']+)["']"""),
        ("pyproject.toml", r"""^version\s*=\s*["']([^"']+)["']"""),
    ):
        try:
            text = (comfyui / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if found := re.search(pattern, text, re.MULTILINE):
            return found[1]
    return None


def require_version(version: str | None, name: str) -> None:
    """Raise ``LabError`` for a version that is too old. One that is not known or no number may be a development copy.

    name: what has this version, at the beginning of a sentence.
    """
    numbers = _numbers(version or "")
    if numbers and numbers < _numbers(OLDEST_HOST):
        raise LabError(
            f"{name} is too old: Sampler Lab needs ComfyUI >= {OLDEST_HOST}; update it, or leave out --comfyui and "
            "--host-version, and the lab fetches one."
        )


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", version)
    return tuple(int(part or 0) for part in found.groups()) if found else ()
