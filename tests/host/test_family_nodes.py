"""Nodes of samplers that somebody adds to the catalogue, whichever forms they come in."""

from __future__ import annotations

from pathlib import Path

import pytest
from inside_host import found_by

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def found(comfyui: Path) -> dict:
    """What the probe found inside the host."""
    return found_by("family_nodes_probe.py", comfyui)


def test_each_added_family_has_a_node_and_the_others_keep_theirs(found):
    added = ["SamplerLabShortEuler", "SamplerLabGuidedShort", "SamplerLabShortened"]
    assert list(found["nodes"]) == [*found["before"], *added]
    assert "SamplerLabDpmpp2m" in found["before"]


def test_there_is_a_switch_only_where_there_is_something_to_switch(found):
    assert found["nodes"]["SamplerLabShortEuler"]["inputs"] == ["share"]
    assert found["nodes"]["SamplerLabGuidedShort"]["inputs"] == ["share"]
    assert found["nodes"]["SamplerLabShortened"]["inputs"] == ["cfg_pp", "share"]
    assert found["nodes"]["SamplerLabDpmpp2m"]["inputs"] == ["cfg_pp", "solver_type", "higher_order_term", "form"]


def test_a_node_says_what_it_is(found):
    plain, guided, both = (found["nodes"][f"SamplerLab{name}"] for name in ("ShortEuler", "GuidedShort", "Shortened"))
    assert plain["description"].startswith("short_euler: order 1, 1 model call per step, deterministic, none.")
    assert guided["description"].startswith("guided_short_cfg_pp: ")
    assert ["CFG++" in node["description"] for node in (plain, guided, both)] == [False, False, True]
    assert ["cfg++" in node["aliases"] for node in (plain, guided, both)] == [False, True, True]


def test_a_node_gives_the_sampler_with_its_option(found):
    plain_half, plain, cfg_pp_half, cfg_pp = found["both"]
    assert found["plain"] == [plain_half, plain]
    assert found["only cfg_pp"] == [cfg_pp_half, cfg_pp]
    assert len({tuple(values) for values in found["both"]}) == 4
