"""Inputs of nodes made from options, as the host's schema tells them to the editor."""

from __future__ import annotations

from pathlib import Path

import pytest
from inside_host import found_by

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def found(comfyui: Path) -> dict:
    """What the probe found inside the host."""
    return found_by("node_inputs_probe.py", comfyui)


def test_every_type_of_option_has_its_widget(found):
    every = {name: (kind, said) for name, kind, said in found["every"]}
    assert {name: kind for name, (kind, _) in every.items()} == {
        "strength": "FLOAT",
        "sigma": "FLOAT",
        "steps": "INT",
        "parts": "INT",
        "mode": "COMBO",
        "name": "STRING",
        "on": "BOOLEAN",
    }
    assert every["strength"][1] == {
        "default": 0.1, "tooltip": "A share.", "optional": False, "min": 0.0, "max": 1.0, "step": 0.01, "round": False,
    }  # fmt: skip
    assert every["steps"][1]["max"] == 10_000
    assert every["mode"][1]["options"] == ["fast", "slow"]
    assert every["name"][1]["default"] == ""


def test_a_limit_that_is_not_allowed_itself(found):
    every = {name: said for name, _, said in found["every"]}
    assert every["sigma"]["min"] == 0.0
    assert every["parts"]["min"] == 2
    assert every["sigma"]["max"] == 80.0


def test_advanced_and_later_ones_are_marked_and_no_others(found):
    every = {name: said for name, _, said in found["every"]}
    assert [name for name, said in every.items() if said.get("advanced")] == ["sigma"]
    assert [name for name, said in every.items() if said["optional"]] == ["on"]


def test_a_node_may_say_something_else(found):
    name, kind, said = found["changed"]
    assert (name, kind) == ("eta", "FLOAT")
    assert (said["default"], said["tooltip"], said["optional"], said["min"]) == (0.5, "Less noise.", True, 0.0)
