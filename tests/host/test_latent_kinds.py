"""Every kind of latent that the host has: each sampler of the catalogue, each guider and LatentDAPS on a tiny model.

The models have random weights and are built by the host's own classes (``latent_kinds.py``).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from inside_host import found_by
from sampler_lab.samplers import CATALOGUE

pytestmark = pytest.mark.host

IMAGES = ("sd15", "sdxl", "sd3", "flux", "qwen_image", "wan")
ONE_FRAME = ("qwen_image", "wan")
WHAT_DECODES = ("likelihood", "pixel", "daps")


@pytest.fixture(scope="module")
def probe(comfyui: Path) -> dict:
    """What the probe measured inside the host, by kind."""
    return found_by("latent_kinds_probe.py", comfyui, timeout=900)


def of(probe: dict, kind: str) -> dict:
    assert "error" not in probe[kind], probe[kind]["error"]
    return probe[kind]


@pytest.mark.parametrize("kind", [*IMAGES, "ltxav"])
def test_everything_that_needs_no_picture_samples_every_kind(probe, kind):
    works = of(probe, kind)["works"]
    expected = {f"sampler {entry.name}" for entry in CATALOGUE} | {"particle", "norm"}
    assert {name: works.get(name) for name in expected} == {name: [True, True] for name in expected}
    assert all(change > 0 for change in probe[kind]["changes"].values())


@pytest.mark.parametrize("kind", IMAGES)
def test_everything_that_decodes_samples_every_kind_of_image(probe, kind):
    works = of(probe, kind)["works"]
    expected = ["likelihood", "likelihood, through the model", "pixel", "daps", "search", "notes"]
    assert {name: works.get(name) for name in expected} == {name: [True, True] for name in expected}
    assert probe[kind]["changes"]["likelihood"] > 0
    assert probe[kind]["changes"]["pixel"] > 0


@pytest.mark.parametrize("kind", IMAGES)
@pytest.mark.parametrize("what", WHAT_DECODES)
def test_another_models_vae_is_blamed_and_not_the_latent(probe, kind, what):
    said = of(probe, kind)["other vae"][what]
    assert "connect the VAE that belongs to the model" in said
    assert "Particles" not in said


@pytest.mark.parametrize("what", ["likelihood", "daps"])
def test_a_vae_that_is_another_factor_smaller_is_blamed_where_the_size_does_not_fit(probe, what):
    said = of(probe, "sd15")["other vae"][f"{what}, factor"]
    assert "8 times smaller than the image, but this VAE's are 4 times" in said


@pytest.mark.parametrize("kind", ONE_FRAME)
@pytest.mark.parametrize("what", WHAT_DECODES)
def test_several_frames_are_one_true_sentence(probe, kind, what):
    said = of(probe, kind)["frames"][what]
    assert said.startswith("the latent is a video of 3 frames, but only single images can be decoded here; make it one")


@pytest.mark.parametrize("kind", ONE_FRAME)
def test_what_decodes_nothing_takes_several_frames(probe, kind):
    assert of(probe, kind)["video works"] == {"norm": [1, 16, 3, 4, 4], "particle": [1, 16, 3, 4, 4]}


@pytest.mark.parametrize("what", WHAT_DECODES)
def test_video_with_sound_is_one_true_sentence(probe, what):
    said = of(probe, "ltxav")["parts"][what]
    assert "several parts in one, such as a video and its sound" in said
    assert "use an image model" in said
