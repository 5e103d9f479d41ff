"""Which held-out glyphs an experiment and the benchmark run on, with and without the retired ones."""

from pathlib import Path

import pytest
from sampler_lab.experiments.runner import emoji_pictures
from sampler_lab.priors.held_out import find_glyph, list_glyphs

ROOT = Path(__file__).resolve().parent.parent.parent
INDEX = ROOT / "priors" / "held_out" / "index.json"


@pytest.fixture
def published():
    """The glyphs of the published experiments."""
    text = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    table = text.split("## Every image")[1]
    return {line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")} - {"image", "---"}


def test_the_published_set_can_be_run_again(published):
    again = emoji_pictures(INDEX, 24, 0, retired=True)
    assert {picture.name for picture in again} == published
    assert [picture.number for picture in again] == list(range(24))


def test_retired_glyphs_are_left_out_and_the_others_keep_their_noise():
    every = {picture.name: picture.number for picture in emoji_pictures(INDEX, None, 0, retired=True)}
    fair = {picture.name: picture.number for picture in emoji_pictures(INDEX, None, 0)}
    assert len(every) == 84
    assert fair == {name: number for name, number in every.items() if not find_glyph(name).retired}
    assert 0 < len(fair) < 84


def test_start_and_count_go_over_what_is_run():
    whole = emoji_pictures(INDEX, None, 0)
    assert emoji_pictures(INDEX, 3, 5) == whole[5:8]


def test_the_benchmarks_glyphs_are_the_development_ones():
    glyphs = list_glyphs()
    benchmark = {glyphs[k * len(glyphs) // 24].name for k in range(24)}
    development = {glyph.name for glyph in glyphs if glyph.role == "development"}
    assert development == benchmark | {"cactus", "monkey", "railway-track"}
