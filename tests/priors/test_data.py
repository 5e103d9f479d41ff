"""Classes, split and composition of the training data, without the font."""

from __future__ import annotations

import numpy as np
import pytest
from sampler_lab.priors.data import Augmentation, Glyphs, base_glyph, class_of, compose, hold_out, read_emoji_list
from sampler_lab.priors.evaluate import held_out_pictures

WOMAN_MECHANIC_DARK = (0x1F469, 0x1F3FF, 0x200D, 0x1F527)
MAN_MECHANIC = (0x1F468, 0x200D, 0x1F527)


def toy_glyphs() -> Glyphs:
    """Forty discs of different colours; every twentieth is held out."""
    rows, columns = np.mgrid[:136, :136] - 67.5
    rgba = np.zeros((40, 136, 136, 4), np.uint8)
    rgba[..., 3] = 255 * (rows**2 + columns**2 < 50**2)
    rgba[..., :3] = (np.arange(40)[:, None] * np.array([6, 3, 5])).astype(np.uint8)[:, None, None]
    index = np.arange(40)
    names = np.array([f"disc {i}" for i in index])
    return Glyphs(rgba, (index % 12).astype(np.uint8), names, names, index % 20 == 0)


def test_variants_of_one_drawing_have_one_base():
    assert base_glyph(WOMAN_MECHANIC_DARK) == base_glyph(MAN_MECHANIC) == (0x1F9D1, 0x1F527)
    assert base_glyph((0x2764, 0xFE0F)) == (0x2764,)


def test_classes_follow_groups_and_subgroups():
    assert class_of("Smileys & Emotion", "face-smiling") == "face"
    assert class_of("Smileys & Emotion", "heart") == "symbol"
    assert class_of("People & Body", "hand-single-finger") == "gesture"
    assert class_of("People & Body", "person-role") == "person"
    assert class_of("Animals & Nature", "plant-flower") == "plant"
    assert class_of("Travel & Places", "transport-air") == "transport"
    assert class_of("Travel & Places", "sky & weather") == "place"
    assert class_of("Flags", "country-flag") == "flag"


def test_only_fully_qualified_emoji_are_read(tmp_path):
    text = (
        "# group: Food & Drink\n# subgroup: food-fruit\n"
        "1F34C ; fully-qualified # \U0001f34c E0.6 banana\n"
        "2764 ; unqualified # \u2764 E0.6 red heart\n"
    )
    path = tmp_path / "emoji-test.txt"
    path.write_text(text, encoding="utf-8")
    assert read_emoji_list(path) == [((0x1F34C,), "banana", "food")]


def test_the_split_is_by_base_and_holds_out_one_in_twenty():
    bases = [(code,) for code in range(200)] * 2
    chosen = hold_out(bases)
    assert chosen.sum() == 20
    assert np.array_equal(chosen[:200], chosen[200:])
    assert np.array_equal(hold_out(bases[::-1]), chosen[::-1])


def test_composition_keeps_background_and_colour():
    picture = compose(toy_glyphs().rgba[30], (10, 20, 30))
    assert picture.shape == (64, 64, 3)
    assert picture[0, 0].tolist() == [10, 20, 30]
    assert picture[32, 32].tolist() == [180, 90, 150]


def test_augmentation_is_seeded_and_never_draws_a_held_out_glyph():
    glyphs = toy_glyphs()
    augmentation = Augmentation(glyphs)
    assert not glyphs.held_out[augmentation.index].any()
    assert augmentation.weight.sum() == pytest.approx(1)
    pictures, labels = augmentation.batch(24, np.random.default_rng(3))
    again, same_labels = augmentation.batch(24, np.random.default_rng(3))
    assert np.array_equal(pictures, again)
    assert np.array_equal(labels, same_labels)
    assert not np.array_equal(pictures, augmentation.batch(24, np.random.default_rng(4))[0])


def test_held_out_pictures_are_exactly_the_held_out_glyphs():
    pictures, classes, names = held_out_pictures(toy_glyphs())
    assert names == ["disc 0", "disc 20"]
    assert classes.tolist() == [0, 20 % 12]
    assert pictures.shape == (2, 3, 64, 64)
