"""Emoji-64 in a real ComfyUI: as the host's own classes, and under the stock nodes of a running server."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from inside_host import found_by
from PIL import Image
from sampler_lab.labkit.client import Client
from sampler_lab.labkit.outcome import RunFailed
from sampler_lab.priors.held_out import load_glyph

NODES = ("SamplerLabLoadEmojiPrior", "SamplerLabEmojiPrompt", "SamplerLabEmojiPicture")
pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def probe(comfyui: Path) -> dict:
    """What the probe measured inside the host."""
    return found_by("emoji_model_probe.py", comfyui)


def test_model_and_vae_are_the_hosts_own_and_read_once(probe):
    assert probe["types"] == [True, True, True]
    assert probe["cached"]
    assert probe["sigmas"] == pytest.approx([0.002, 80.0])
    assert probe["flow_sigma_max"] == 1.0


def test_edm_and_flow_are_the_same_denoiser_to_rounding(probe):
    for sigma, (edm_and_flow, edm_and_torch) in probe["differences"].items():
        assert edm_and_flow < 1e-5, f"sigma {sigma}"
        assert edm_and_torch < 1e-5, f"sigma {sigma}"


def test_a_flow_starts_at_pure_noise(probe):
    assert probe["finite_at_one"]
    assert probe["spread_at_one"] < 0.25


def test_stock_conditioning_nodes_keep_their_meaning(probe):
    conditions = probe["conditions"]
    assert conditions["average with none"] < 1e-6
    assert conditions["concatenation is half and half"] < 1e-5
    assert conditions["zeroed out is unconditional"] < 1e-6
    assert conditions["animal is not unconditional"] > 1e-2


def test_the_vae_encodes_decodes_and_tiles(probe):
    assert probe["latent_shape"] == [1, 4, 16, 16]
    assert probe["latent_is_raw"] < 1e-4
    assert probe["psnr"] > 28
    assert probe["tiled"] < 0.02
    assert probe["tiled_encode"] == [1, 4, 16, 16]
    assert probe["ratios"] == [4, 4, 4]


def test_memory_is_asked_for_in_the_order_of_what_is_used(probe):
    decode, model = probe["memory"]
    assert 1e6 < decode < 1e7
    assert 1e6 < model < 1e8
    assert probe["sizes"][0] > 3.3e6 * 4
    assert 1.1e6 * 4 < probe["sizes"][1] < 1.2e6 * 4


def test_previews_look_like_the_picture(probe):
    assert probe["preview_error"] < 0.1


def test_the_weights_can_carry_a_gradient(probe):
    assert probe["gradient"]


def test_wrong_inputs_are_refused_in_one_sentence(probe):
    refused = probe["refused"]
    assert "connect Emoji Prompt" in refused["text"]
    assert refused["text before sampling"] == refused["text"]
    assert "multiples of 16, not 72 x 64" in refused["size"]
    assert "choose edm or flow" in refused["parameterization"]


# --------------------------------------------------------------------------------------------------- the running server


def _pictures(client: Client, graph: dict) -> list[torch.Tensor]:
    """Run a graph; what its SaveImage saved, each ``[1, 3, H, W]`` in [-1, 1]."""
    files = client.run(graph, timeout=240).files("SaveImage")
    pixels = [np.array(Image.open(io.BytesIO(client.view(file))).convert("RGB")) for file in files]
    return [torch.from_numpy(p).permute(2, 0, 1)[None].float() / 127.5 - 1 for p in pixels]


def _sampling(parameterization: str, size: int = 64, **changes: object) -> dict:
    sampler = {
        "model": ["1", 0],
        "positive": ["2", 0],
        "negative": ["3", 0],
        "latent_image": ["4", 0],
        "seed": 1,
        "steps": 8,
        "cfg": 2.0,
        "sampler_name": "euler",
        "scheduler": "karras" if parameterization == "edm" else "simple",
        "denoise": 1.0,
    }
    return {
        "1": {"class_type": "SamplerLabLoadEmojiPrior", "inputs": {"parameterization": parameterization}},
        "2": {"class_type": "SamplerLabEmojiPrompt", "inputs": {"class_name": "face"}},
        "3": {"class_type": "SamplerLabEmojiPrompt", "inputs": {"class_name": "none"}},
        "4": {"class_type": "EmptyLatentImage", "inputs": {"width": size, "height": size, "batch_size": 2}},
        "5": {"class_type": "KSampler", "inputs": sampler | changes},
        "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 1]}},
        "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "emoji"}},
    }


def test_the_nodes_are_there_with_a_tooltip_on_everything(object_info):
    for name in NODES:
        node = object_info[name]
        assert node["category"] == "sampler lab/prior"
        assert node["description"]
        assert all(node["output_tooltips"])
        for declared in node["input"].values():
            assert all(options["tooltip"] for _, options in declared.values())


@pytest.mark.parametrize("parameterization", ["edm", "flow"])
def test_ksampler_samples_the_prior(client, parameterization):
    first, second = _pictures(client, _sampling(parameterization))
    assert first.shape == second.shape == (1, 3, 64, 64)
    assert not torch.equal(first, second)
    for picture in (first, second):
        assert 0.1 < picture.std() < 1.0
        # a plain background: the border varies far less than the picture
        assert picture[..., :2, :].std(dim=(2, 3)).mean() < picture.std(dim=(2, 3)).mean()


def test_a_held_out_picture_goes_through_the_stock_vae_nodes(client):
    graph = {
        "1": {"class_type": "SamplerLabLoadEmojiPrior", "inputs": {"parameterization": "edm"}},
        "2": {"class_type": "SamplerLabEmojiPicture", "inputs": {"name": "donkey"}},
        "3": {"class_type": "VAEEncode", "inputs": {"pixels": ["2", 0], "vae": ["1", 1]}},
        "4": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["1", 1]}},
        "5": {
            "class_type": "VAEDecodeTiled",
            "inputs": {
                "samples": ["3", 0],
                "vae": ["1", 1],
                "tile_size": 64,
                "overlap": 0,
                "temporal_size": 64,
                "temporal_overlap": 8,
            },
        },
        "6": {"class_type": "ImageBatch", "inputs": {"image1": ["4", 0], "image2": ["5", 0]}},
        "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "emoji_vae"}},
    }
    truth = load_glyph("donkey")
    for picture in _pictures(client, graph):
        assert -10 * ((picture - truth) / 2).square().mean().log10() > 28


def test_image_to_image_keeps_most_of_the_picture(client):
    graph = _sampling("edm", cfg=1.0, denoise=0.2)
    graph["4"] = {"class_type": "VAEEncode", "inputs": {"pixels": ["8", 0], "vae": ["1", 1]}}
    graph["8"] = {"class_type": "SamplerLabEmojiPicture", "inputs": {"name": "donkey"}}
    graph["2"]["inputs"]["class_name"] = "animal"
    (picture,) = _pictures(client, graph)
    assert -10 * ((picture - load_glyph("donkey")) / 2).square().mean().log10() > 20


def test_a_size_that_the_network_cannot_make_is_refused_in_one_sentence(client):
    with pytest.raises(RunFailed, match="multiples of 16, not 72 x 72"):
        client.run(_sampling("edm", size=72), timeout=120)
