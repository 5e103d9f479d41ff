"""Held-out glyphs that ship with the pack: 64x64 PNG files that no weight of Emoji-64 has seen.

One variant of every held-out base glyph (84), in its canonical size on one of eight backgrounds; `index.json` names
them with class and background. `make_held_out.py` in the folder above draws them again from the font.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Glyph:
    """``name`` is the file's name without ending and the key of `load_glyph`; ``title`` is Unicode's name."""

    name: str
    title: str
    klass: str
    background: str

    @property
    def path(self) -> Path:
        """The picture's file."""
        return FOLDER / f"{self.name}.png"


@functools.cache
def list_glyphs() -> tuple[Glyph, ...]:
    """Every shipped held-out glyph, in a fixed order (the order of the indices of `load_glyph`)."""
    rows = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))
    return tuple(Glyph(row["name"], row["title"], row["class"], row["background"]) for row in rows)


def find_glyph(name_or_index: str | int) -> Glyph:
    """The glyph of this name or index. Raises ValueError when there is none."""
    glyphs = list_glyphs()
    if isinstance(name_or_index, int):
        if not 0 <= name_or_index < len(glyphs):
            raise ValueError(f"glyph index {name_or_index} is outside 0 to {len(glyphs) - 1}: choose one inside.")
        return glyphs[name_or_index]
    for glyph in glyphs:
        if glyph.name == name_or_index:
            return glyph
    raise ValueError(f"glyph {name_or_index!r} is not shipped: choose a name from priors/held_out/index.json.")


def load_glyph(name_or_index: str | int) -> Tensor:
    """One glyph as float ``[1, 3, 64, 64]`` in [-1, 1]. Raises ValueError when there is no such glyph."""
    with Image.open(find_glyph(name_or_index).path) as picture:
        pixels = np.array(picture.convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
