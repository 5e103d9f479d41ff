"""Draw the pictures of `priors/held_out/`: ``python -m priors.make_held_out`` (needs the font, see `data`).

For every held-out base glyph one variant is drawn by lot (seed 64), so that skin tones and genders vary, and the eight
backgrounds are dealt in shuffled rounds, so that each occurs equally often. Nothing is chosen by hand. What the index
says besides (roles, nearest training picture) is kept; `check_held_out` measures the latter again.
"""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

import numpy as np
from PIL import Image

from .classes import CLASSES
from .data import BACKGROUNDS, compose, render_glyphs

SEED = 64


def slug(title: str) -> str:
    """ "Man: light skin tone" -> "man-light-skin-tone"."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def main() -> None:
    """Write the PNG files and ``index.json``."""
    folder = Path(__file__).parent / "held_out"
    glyphs = render_glyphs()
    rng = np.random.default_rng(SEED)
    held_out = np.where(glyphs.held_out)[0]
    bases = list(dict.fromkeys(glyphs.base[held_out]))  # Unicode's order
    names = list(BACKGROUNDS)
    rows = []
    for position, base in enumerate(bases):
        if position % len(names) == 0:
            rng.shuffle(names)
        i = rng.choice(held_out[glyphs.base[held_out] == base])
        background = names[position % len(names)]
        title = str(glyphs.name[i])
        Image.fromarray(compose(glyphs.rgba[i], BACKGROUNDS[background])).save(folder / f"{slug(title)}.png")
        klass = CLASSES[glyphs.label[i]]
        rows.append({"name": slug(title), "title": title, "class": klass, "background": background})
    index = folder / "index.json"
    before = {row["name"]: row for row in json.loads(index.read_text(encoding="utf-8"))} if index.is_file() else {}
    rows = [{**before.get(row["name"], {"role": "reserve"}), **row} for row in rows]
    index.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
