"""Corrections on guiders of other packs, under samplers of other packs: in a process of its own inside ComfyUI."""

from __future__ import annotations

from pathlib import Path

import pytest
from inside_host import found_by

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def probe(comfyui: Path) -> dict:
    """What the probe found. The correction there adds 1 to every prediction."""
    return found_by("other_guiders_probe.py", comfyui)


def test_a_guider_that_overrides_everything_is_corrected_and_does_all_it_did(probe):
    found = probe["overrides"]
    assert found["corrected"] == pytest.approx(1, abs=1e-4)
    assert found["called"] == ["call", "inner_sample", "outer_sample", "predict_noise", "sample"]
    assert found["a guider of the host"]


def test_what_a_pack_asks_of_its_guider_reaches_it(probe):
    found = probe["overrides"]
    assert found["method"] == "strength 0.75"
    assert found["after its own set_conds"] == pytest.approx(1, abs=1e-4)
    assert found["after an attribute"] == pytest.approx(1, abs=1e-4)


def test_the_guider_that_was_extended_is_as_it_was(probe):
    assert probe["overrides"]["original"] == [True, False]
    assert probe["overrides"]["original's conds"]


@pytest.mark.parametrize("place", ["around ours", "inside ours"])
def test_a_guider_that_holds_another_one_is_corrected_once(probe, place):
    assert probe["holders"][place] == pytest.approx(1, abs=1e-4)


def test_the_hosts_wrappers_see_and_change_the_guider(probe):
    found = probe["wrappers"]
    assert found["watched"]
    assert found["corrected"] == pytest.approx(1, abs=1e-4)
    assert found["overridden"]
    assert found["seen"] == [["negative", "positive"], "CFGGuider"]
    assert found["times"] == 6


def test_a_sampler_finds_what_it_would_find_in_the_guider_itself(probe):
    found = probe["samplers"]
    assert found["is a guider"]
    assert found["attributes"]
    assert found["predict_noise"]
    assert found["set"]


def test_a_copy_of_the_guider_has_conds_of_its_own_and_is_corrected(probe):
    """Pruning (``host/rows.py``) goes on with such a copy."""
    assert probe["samplers"]["own conds"]
    assert probe["samplers"]["a copy's conds"] == pytest.approx(1, abs=1e-4)


def test_copies_are_apart_and_no_sigmas_mean_no_run(probe):
    assert probe["copies"] == {
        "apart": [2.0, 7.0],
        "corrections": ["Brighter", "NormCorrection"],
        "no sigmas": True,
    }
