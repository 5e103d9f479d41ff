"""The shipped held-out glyphs, and how well the shipped autoencoder keeps them."""

from __future__ import annotations

import pytest
import torch
from sampler_lab.priors.classes import CLASSES
from sampler_lab.priors.data import BACKGROUNDS
from sampler_lab.priors.evaluate import reconstruction_psnr
from sampler_lab.priors.held_out import FOLDER, list_glyphs, load_glyph
from sampler_lab.priors.loader import load_emoji_prior

#: Mean over the 84 shipped pictures in dB, one of each base glyph. (All 143 held-out glyphs: see the model card.)
SHIPPED_PSNR = 28.95


def test_there_are_enough_glyphs_of_every_class():
    glyphs = list_glyphs()
    assert len(glyphs) == len({glyph.name for glyph in glyphs}) == 84
    assert {glyph.klass for glyph in glyphs} == set(CLASSES)
    assert {glyph.background for glyph in glyphs} == set(BACKGROUNDS)
    assert {glyph.path for glyph in glyphs} == set(FOLDER.glob("*.png"))


def test_every_glyph_is_a_picture_in_model_range_on_its_background():
    for index, glyph in enumerate(list_glyphs()):
        picture = load_glyph(glyph.name)
        assert picture.shape == (1, 3, 64, 64)
        assert picture.dtype == torch.float32
        assert torch.equal(picture, load_glyph(index))
        corner = (picture[0, :, 0, 0] + 1) * 127.5
        assert corner.round().tolist() == list(BACKGROUNDS[glyph.background])
        assert picture.std() > 0.05


@pytest.mark.parametrize("wrong", ["no-such-glyph", 84, -1])
def test_a_wrong_name_or_index_is_named(wrong):
    with pytest.raises(ValueError, match=str(wrong)):
        load_glyph(wrong)


def test_the_autoencoder_keeps_the_shipped_glyphs():
    pictures = torch.cat([load_glyph(glyph.name) for glyph in list_glyphs()])
    psnr = reconstruction_psnr(load_emoji_prior().autoencoder, pictures)
    assert psnr.mean() >= SHIPPED_PSNR
