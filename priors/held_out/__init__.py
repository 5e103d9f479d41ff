"""Held-out glyphs that ship with the pack: 64x64 PNG files of glyphs that Emoji-64 was not trained on.

One variant of every held-out base glyph (84), in its canonical size on one of eight backgrounds; `index.json` names
them with class and background. `make_held_out.py` in the folder above draws them again from the font.

Held out is not yet unseen: some are near a picture that training could draw from *another* glyph, by mirroring,
recolouring or moving it. `check_held_out.py` looks for the nearest one of each and writes it to the index. Where it is
above `NEAR_TRAINING` the glyph is retired: its picture and its index stay, so that old graphs and seeds mean what they
meant, but benchmarks and experiments leave it out unless they are asked for it.

`glyph_set` is the one list that benchmarks and experiments take their pictures from. A glyph's number decides the noise
of its measurement; it does not change with the set, so that one setting has one figure wherever it is shown.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FOLDER", "NEAR_TRAINING", "ROLES", "Glyph", "find_glyph", "glyph_set", "list_glyphs", "load_glyph"]

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
    retired: nearer than ``NEAR_TRAINING``, so not a fair test. number: added to the seed of its measurement's noise.
    """

    name: str
    title: str
    klass: str
    background: str
    role: str
    neighbour: str
    neighbour_psnr: float
    retired: bool
    number: int

    @property
    def path(self) -> Path:
        """The picture's file."""
        return FOLDER / f"{self.name}.png"


@functools.cache
def list_glyphs() -> tuple[Glyph, ...]:
    """Every shipped held-out glyph, in a fixed order (the order of the indices of `load_glyph`)."""
    rows = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))
    numbers = {row["name"]: number for number, row in enumerate(_in_turn(rows))}
    return tuple(Glyph(klass=row.pop("class"), number=numbers[row["name"]], **row) for row in rows)


def glyph_set(role: str = "development", retired: bool = False) -> tuple[Glyph, ...]:
    """The glyphs on which methods are compared, one of every class in turn, so that the first N are a fair sample.

    Args:
        role: "development", or another one of ``ROLES``. A method that was tuned on the glyphs of one role is judged
            on another.
        retired: also those that are near a training picture.

    Raises:
        ValueError: no such role.
    """
    if role not in ROLES:
        raise ValueError(f"there are no glyphs of the role {role!r}; choose one of {', '.join(ROLES)}.")
    rows = [{"class": g.klass, "glyph": g} for g in list_glyphs() if g.role == role and (retired or not g.retired)]
    return tuple(row["glyph"] for row in _in_turn(rows))


def _in_turn(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first of every class, then the second of every class, and so on; classes in the order of their first row."""
    by_class: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_class.setdefault(row["class"], []).append(row)
    return [row for turn in zip_longest(*by_class.values()) for row in turn if row is not None]


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
    import numpy as np  # here, so that the list can be read where there is no torch
    import torch
    from PIL import Image

    with Image.open(find_glyph(name_or_index).path) as picture:
        pixels = np.array(picture.convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
