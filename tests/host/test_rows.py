"""A batch that shrinks inside the host: everything that has one row a particle follows the survivors."""

from __future__ import annotations

from pathlib import Path

import pytest
from inside_host import found_by

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def probe(comfyui: Path) -> dict:
    """What the probe found inside the host."""
    return found_by("rows_probe.py", comfyui)


@pytest.mark.parametrize("kind", ["classes", "masks", "inpainting"])
def test_survivors_end_where_they_would_have_ended(probe, kind):
    found = probe[kind]
    assert found["shape"] == [2, 4, 16, 16]
    assert found["names"] != [0, 1], "these survivors would be the first rows anyway: nothing would be tested"
    # Batches of four and of two differ by rounding only; another particle's latent is far away.
    assert found["error"] < 0.02
    assert found["others"] > 0.5


@pytest.mark.parametrize("fact", ["shared", "hints", "short batches repeat", "made anew", "range kept", "originals"])
def test_controlnets_follow(probe, fact):
    assert probe["controlnets"][fact]
