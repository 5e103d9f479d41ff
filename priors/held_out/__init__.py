"""Held-out glyphs that ship with the pack: 64x64 PNG files of glyphs that Emoji-64 was not trained on.

One variant of every held-out base glyph (84), in its canonical size on one of eight backgrounds; `index.json` names
them with class and background. `make_held_out.py` in the folder above draws them again from the font.

Held out is not yet unseen: some are near a picture that training could draw from *another* glyph, by mirroring,
recolouring or moving it. `check_held_out.py` looks for the nearest one of each and writes it to the index. Where it is
above `NEAR_TRAINING` the glyph is retired: its picture and its index stay, so that old graphs and seeds mean what they
meant, but benchmarks and experiments leave it out unless they are asked for it.
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
#: PSNR in dB from which on a held-out picture is too near to a training picture to be a fair test.
NEAR_TRAINING = 20.0
#: What a glyph has been used for: "development" (defaults of a method were chosen on it), "confirmation" (fixed as a
#: test set before the method was run on it), "reserve" (neither).
ROLES = ("development", "confirmation", "reserve")


@dataclass(frozen=True)
class Glyph:
    """A held-out glyph.

    name: the file's name without ending and the key of `load_glyph`. title: Unicode's name. role: one of ``ROLES``.
    neighbour: Unicode's name of the training glyph that training can bring nearest. neighbour_psnr: how near, in dB.
    retired: nearer than ``NEAR_TRAINING``, so not a fair test.
    """

    name: str
    title: str
    klass: str
    background: str
    role: str
    neighbour: str
    neighbour_psnr: float
    retired: bool

    @property
    def path(self) -> Path:
        """The picture's file."""
        return FOLDER / f"{self.name}.png"


@functools.cache
def list_glyphs() -> tuple[Glyph, ...]:
    """Every shipped held-out glyph, in a fixed order (the order of the indices of `load_glyph`)."""
    rows = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))
    return tuple(Glyph(klass=row.pop("class"), **row) for row in rows)


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
