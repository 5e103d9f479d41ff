"""Is a held-out glyph a fair test? ``python -m priors.check_held_out`` (needs the font, see `data`; 3 CPU minutes).

Finds the nearest training picture of every picture in ``held_out/`` (see `nearest`), writes it with the verdict to
``held_out/index.json``, and prints the table of the model card. Run it again after `make_held_out` or a change of
`data.Augmentation`. ``--only NAME ...`` looks at some of them and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from .data import BACKGROUNDS, Glyphs, render_glyphs
from .held_out import FOLDER, NEAR_TRAINING
from .nearest import Neighbour, Placement, nearest

INDEX = FOLDER / "index.json"


def find_neighbours(rows: Sequence[dict[str, Any]], glyphs: Glyphs) -> list[tuple[str, Neighbour]]:
    """The nearest training picture of each row of the index, with its glyph's title."""
    training = np.flatnonzero(~glyphs.held_out)
    pictures = np.stack([read_picture(row["name"]) for row in rows])
    backgrounds = np.array([BACKGROUNDS[row["background"]] for row in rows], np.float32)
    found = nearest(pictures, backgrounds, glyphs.rgba[training])
    return [(str(glyphs.name[training[neighbour.index]]), neighbour) for neighbour in found]


def read_picture(name: str) -> np.ndarray:
    """A shipped picture, uint8 ``[64, 64, 3]``."""
    with Image.open(FOLDER / f"{name}.png") as picture:
        return np.array(picture.convert("RGB"))


def judged(row: dict[str, Any], title: str, psnr: float) -> dict[str, Any]:
    """The row with its nearest training picture (dB, two digits) and whether that retires it."""
    psnr = round(psnr, 2)
    return {**row, "neighbour": title, "neighbour_psnr": psnr, "retired": psnr > NEAR_TRAINING}


def in_words(placement: Placement) -> str:
    """What training does to the neighbour."""
    usual = Placement()
    done = ["mirrored"] if placement.mirrored else []
    if (placement.hue, placement.saturation) != (usual.hue, usual.saturation):
        done.append("recoloured")
    if (placement.height, placement.width) != (usual.height, usual.width):
        done.append(f"{placement.width}\u00d7{placement.height} pixels")
    elif (placement.top, placement.left) != (usual.top, usual.left):
        done.append("moved")
    if placement.angle:
        done.append(f"turned {placement.angle:+.0f}\u00b0")
    return ", ".join(done) or "as it is"


def table(rows: Sequence[dict[str, Any]], words: Sequence[str]) -> str:
    """Markdown: every row, nearest first, and what was done to the neighbour."""
    lines = ["| held out | role | nearest training glyph | drawn | PSNR (dB) |", "| --- | --- | --- | --- | --- |"]
    for row, how in sorted(zip(rows, words, strict=True), key=lambda pair: -pair[0]["neighbour_psnr"]):
        name = f"**{row['name']}**" if row["retired"] else row["name"]
        lines.append(f"| {name} | {row['role']} | {row['neighbour']} | {how} | {row['neighbour_psnr']:.1f} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some of them; nothing is written")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows = json.loads(INDEX.read_text(encoding="utf-8"))
    chosen = [row for row in rows if asked.only is None or row["name"] in asked.only]
    found = find_neighbours(chosen, render_glyphs())
    chosen = [judged(row, title, neighbour.psnr) for row, (title, neighbour) in zip(chosen, found, strict=True)]
    if asked.only is None:
        INDEX.write_text(json.dumps(chosen, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.stdout.write(table(chosen, [in_words(neighbour.placement) for _, neighbour in found]) + "\n")


if __name__ == "__main__":
    main()
