"""The differentiable decoder in a real ComfyUI: the host's own autoencoder, weights as the host may keep them."""

from __future__ import annotations

from pathlib import Path

import pytest
from inside_host import found_by

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def probe(comfyui: Path) -> dict:
    """What the probe measured inside the host."""
    return found_by("decoder_probe.py", comfyui)


def test_the_hosts_own_autoencoder_has_a_gradient(probe):
    assert probe["shape"] == [2, 3, 16, 16]
    assert probe["gradient"] > 0
    assert probe["as the host decodes"] < 1e-4


def test_weights_kept_in_another_precision_are_cloned_as_the_vae_computes(probe):
    assert probe["kinds"] == [["torch.float32", False]]
    assert probe["half"] < 0.05


def test_constants_made_under_inference_mode_do_not_stop_the_gradient(probe):
    assert probe["inference constants"] > 0


def test_memory_is_asked_for_every_particle(probe):
    assert probe["memory of 8 more"] >= 1


def test_a_vae_of_another_model_is_one_sentence(probe):
    assert "connect the VAE that belongs to the model" in probe["channels"]


def test_with_fp16_vae_there_is_a_gradient(probe):
    """bfloat16 is not forced upon weights that are half already: torch would refuse to mix them."""
    assert probe["fp16 vae"] == {"dtype": "torch.float16", "finite": True}
