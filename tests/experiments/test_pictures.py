"""Which held-out glyphs an experiment and the benchmark run on: one list, and one number for a glyph's noise."""

from pathlib import Path

import pytest
from sampler_lab.experiments.pictures import emoji_pictures
from sampler_lab.labkit.errors import LabError
from sampler_lab.priors.held_out import ROLES, find_glyph, glyph_set, list_glyphs

ROOT = Path(__file__).resolve().parent.parent.parent


def test_what_is_not_asked_for_is_development_and_a_fair_test():
    pictures = emoji_pictures(None, 0)
    assert len(pictures) == 20
    for picture in pictures:
        glyph = find_glyph(picture.name)
        assert (glyph.role, glyph.retired) == ("development", False)
        assert (picture.label, picture.number, picture.emoji) == (glyph.klass, glyph.number, glyph.name)


def test_confirmation_glyphs_are_never_among_the_others():
    sets = [{picture.name for picture in emoji_pictures(None, 0, role, retired=True)} for role in ROLES]
    assert [len(each) for each in sets] == [27, 48, 9]
    assert len(set.union(*sets)) == 84


def test_the_first_glyphs_are_of_different_classes():
    classes = [glyph.klass for glyph in glyph_set()]
    present = len(set(classes))
    assert len(set(classes[:present])) == present


def test_retired_glyphs_are_left_out_and_the_others_keep_their_noise():
    for role in ROLES:
        every = {picture.name: picture.number for picture in emoji_pictures(None, 0, role, retired=True)}
        fair = {picture.name: picture.number for picture in emoji_pictures(None, 0, role)}
        assert fair == {name: number for name, number in every.items() if not find_glyph(name).retired}
        assert 0 < len(fair) < len(every)


def test_numbers_are_those_of_earlier_releases():
    """A number is a seed of noise; another one would be another measurement."""
    assert sorted(glyph.number for glyph in list_glyphs()) == list(range(84))
    known = {"face-in-clouds": 0, "red-heart": 1, "monkey": 4, "tiger-face": 16, "control-knobs": 22, "ledger": 65}
    assert {name: find_glyph(name).number for name in known} == known


def test_start_and_count_go_over_what_is_run():
    whole = emoji_pictures(None, 0)
    assert emoji_pictures(3, 5) == whole[5:8]
    with pytest.raises(LabError, match="--start is 20, but there are 20 images"):
        emoji_pictures(None, 20)


def test_a_wrong_role_is_named():
    with pytest.raises(ValueError, match="no glyphs of the role 'test'; choose one of development, confirmation"):
        glyph_set("test")
