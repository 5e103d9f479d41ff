"""The search for the nearest training picture, on glyphs whose nearest is known; and what the index says of ours."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sampler_lab.priors import nearest as module
from sampler_lab.priors.check_held_out import INDEX, find_neighbours, read_picture
from sampler_lab.priors.data import BACKGROUNDS, EMOJI_LIST, FONT, Augmentation, Glyphs, render_glyphs
from sampler_lab.priors.held_out import NEAR_TRAINING, ROLES, find_glyph, list_glyphs
from sampler_lab.priors.nearest import Placement, nearest, psnr_of
from torch.nn.functional import avg_pool2d

CARD = Path(module.__file__).parent / "README.md"
NIGHT = np.array(BACKGROUNDS["night"], np.float32)


def drawings(count: int, seed: int = 0) -> np.ndarray:
    """Glyphs without any symmetry: a few coloured blocks each, uint8 ``[count, 136, 136, 4]``."""
    rng = np.random.default_rng(seed)
    rgba = np.zeros((count, 136, 136, 4), np.uint8)
    for glyph in rgba:
        for _ in range(5):
            top, left = rng.integers(10, 90, 2)
            height, width = rng.integers(15, 40, 2)
            glyph[top : top + height, left : left + width] = [*rng.integers(0, 256, 3), 255]
    return rgba


@pytest.mark.parametrize(
    ("placement", "least"),
    [
        (Placement(), 60),
        (Placement(mirrored=True), 60),
        (Placement(hue=0.3), 30),
        (Placement(mirrored=True, height=50, width=48, top=2, left=9), 26),
        (Placement(angle=11.0, hue=-0.2), 24),
    ],
)
def test_a_training_picture_is_found_again(placement, least):
    assert placement.is_drawn_in_training()
    rgba = drawings(12)
    picture = placement.picture(rgba[7], NIGHT)
    (found,) = nearest(picture[None], NIGHT[None], rgba)
    assert found.index == 7
    assert found.placement.mirrored == placement.mirrored
    assert found.psnr >= least
    assert found.psnr == psnr_of(found.placement.picture(rgba[7], NIGHT), picture)


def test_what_is_new_is_far():
    (found,) = nearest(Placement().picture(drawings(1, seed=9)[0], NIGHT)[None], NIGHT[None], drawings(12))
    assert found.psnr < NEAR_TRAINING


def test_the_coarse_drawing_is_that_of_training():
    """Rotation, size, orientation and order of the placements: block means of what `compose` draws."""
    rgba = drawings(2)
    drawn = module._drawn(rgba)
    for k in (0, 7, 152, 201, 299):
        picture = module._placement(k).picture(rgba[1], np.zeros(3, np.float32))
        exact = avg_pool2d(torch.from_numpy(picture).permute(2, 0, 1).float() / 255, 4)
        assert (drawn[1, k, :3] - exact).square().mean().sqrt() < 0.03, module._placement(k)


def test_augmentation_stays_inside_the_bounds_that_are_searched():
    glyphs = Glyphs(drawings(3), np.zeros(3, np.uint8), np.array(list("abc")), np.array(list("abc")), np.zeros(3, bool))
    rng, seen = np.random.default_rng(0), []

    def note(rgba, background, size, offset, angle):
        top, left = offset or ((64 - size[0]) // 2, (64 - size[1]) // 2)
        seen.append(Placement(height=size[0], width=size[1], top=top, left=left, angle=angle))
        return np.zeros((64, 64, 3), np.uint8)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sampler_lab.priors.data.compose", note)
        Augmentation(glyphs).batch(400, rng)
    assert all(placement.is_drawn_in_training() for placement in seen)
    assert len(set(seen)) > 100


def test_the_index_keeps_its_rule():
    rows = json.loads(INDEX.read_text(encoding="utf-8"))
    assert len(rows) == 84
    for row in rows:
        assert row["retired"] == (row["neighbour_psnr"] > NEAR_TRAINING), row["name"]
        assert row["role"] in ROLES
    assert sum(row["role"] == "development" for row in rows) == 27
    assert sum(row["role"] == "confirmation" for row in rows) == 48
    assert find_glyph("backhand-index-pointing-left").retired
    assert find_glyph("backhand-index-pointing-left").neighbour == "backhand index pointing right"


def test_the_model_card_has_every_neighbour():
    card = CARD.read_text(encoding="utf-8")
    for glyph in list_glyphs():
        name = f"**{glyph.name}**" if glyph.retired else glyph.name
        (line,) = [line for line in card.splitlines() if line.startswith(f"| {name} |")]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[1:3] == [glyph.role, glyph.neighbour]
        assert float(cells[4]) == pytest.approx(glyph.neighbour_psnr, abs=0.051)
    retired = [glyph for glyph in list_glyphs() if glyph.retired]
    assert f"{len(retired)} of the 84" in card


@pytest.mark.skipif(not (FONT.is_file() and EMOJI_LIST.is_file()), reason="needs fonts-noto-color-emoji, unicode-data")
def test_the_index_is_what_the_font_says():
    """Some rows again, against their own neighbours among a few hundred training glyphs."""
    names = ["backhand-index-pointing-left", "red-heart", "tiger-face"]
    rows = [row for row in json.loads(INDEX.read_text(encoding="utf-8")) if row["name"] in names]
    glyphs = render_glyphs()
    wanted = {row["neighbour"] for row in rows}
    few = [k for k, title in enumerate(glyphs.name) if not glyphs.held_out[k] and (k % 40 == 0 or title in wanted)]
    part = Glyphs(**{key: value[few] for key, value in vars(glyphs).items()})
    for row, (title, found) in zip(rows, find_neighbours(rows, part), strict=True):
        assert title == row["neighbour"]
        assert found.psnr == pytest.approx(row["neighbour_psnr"], abs=0.3)
        assert read_picture(row["name"]).shape == (64, 64, 3)
