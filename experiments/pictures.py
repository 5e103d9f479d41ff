"""What an experiment runs on: held-out glyphs, or the pictures of a folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..labkit.errors import LabError
from ..priors.held_out import glyph_set

__all__ = ["Picture", "emoji_pictures", "folder_pictures", "safe_name"]

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


@dataclass(frozen=True)
class Picture:
    """An image of an experiment.

    name: of its folder among the results. emoji: the name of a held-out glyph; or path: of a file.
    label: the class that the Emoji Prompt tells, "none" when nothing is known.
    number: its place in its whole set, which decides its noise; None where the list that is run is the set.
    """

    name: str
    emoji: str | None = None
    path: Path | None = None
    label: str = "none"
    number: int | None = None


def emoji_pictures(count: int | None, start: int, role: str = "development", retired: bool = False) -> list[Picture]:
    """Held-out glyphs of a role, one of every class in turn, so that the first N of them are a fair sample.

    retired: also those that are near a training picture. A glyph's number, and so its noise, is the same in every set.
    """
    glyphs = glyph_set(role, retired)
    return _range([Picture(g.name, emoji=g.name, label=g.klass, number=g.number) for g in glyphs], count, start)


def folder_pictures(folder: Path, count: int | None, start: int) -> list[Picture]:
    """The image files of a folder, by name."""
    if not folder.is_dir():
        raise LabError(f"There is no folder {folder}; --images is a folder of pictures, or emoji.")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_ENDINGS)
    if not files:
        raise LabError(f"The folder {folder} holds no picture ({', '.join(IMAGE_ENDINGS)}).")
    names = [safe_name(path.stem) for path in files]
    twice = {name for name in names if names.count(name) > 1}
    pictures = [
        Picture(safe_name(path.name) if name in twice else name, path=path)
        for path, name in zip(files, names, strict=True)
    ]
    return _range(pictures, count, start)


def safe_name(name: str) -> str:
    """A name that is a folder on every system."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "image"


def _range(pictures: list[Picture], count: int | None, start: int) -> list[Picture]:
    if not 0 <= start < len(pictures):
        raise LabError(f"--start is {start}, but there are {len(pictures)} images; the first is number 0.")
    if count is not None and count < 1:
        raise LabError(f"--count is {count}; it must be 1 or more.")
    return pictures[start : None if count is None else start + count]
