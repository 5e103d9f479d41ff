"""Feature spaces: shapes, gradients, where DINO's weights are looked for, and that nothing is ever downloaded."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from sampler_lab.posterior.interaction.dino import DINO_MODEL, DINOFeatures, find_dino_weights, load_dino
from sampler_lab.posterior.interaction.features import LatentFeatures, PixelFeatures
from sampler_lab.posterior.interaction.forces import repulsion

timm = pytest.importorskip("timm")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of the right network, in a folder of their own."""
    path = tmp_path_factory.mktemp("dino") / f"{DINO_MODEL}.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_file(timm.create_model(DINO_MODEL, pretrained=False, num_classes=0).state_dict(), path)
    return path


@pytest.fixture
def empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache of this machine, and no network."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def _latents(count=2, size=32):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)


def test_latent_and_pixel_features_are_flat():
    z = _latents()
    assert torch.equal(LatentFeatures()(z), z.flatten(1))
    assert torch.equal(PixelFeatures(lambda z: 2 * z)(z), 2 * z.flatten(1))


def test_dino_is_frozen_and_repeats_what_timm_computes(weights):
    before = torch.random.get_rng_state()
    network = load_dino(weights)
    assert torch.equal(torch.random.get_rng_state(), before)  # loading draws no random number
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    plain = timm.create_model(DINO_MODEL, pretrained=False, num_classes=0, checkpoint_path=str(weights)).eval()
    image = _latents(2, 224)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    inputs = ((image + 1) / 2 - mean.reshape(3, 1, 1)) / std.reshape(3, 1, 1)
    with torch.no_grad():
        expected = plain.forward_features(inputs)[:, 0]  # the class token
        torch.testing.assert_close(DINOFeatures(lambda z: z, network)(image), expected, rtol=1e-3, atol=1e-4)
    assert expected.shape == (2, 384)


@pytest.mark.parametrize(("preprocessing", "size"), [("imagenet", 32), ("rsd_compat", 38)])
def test_a_gradient_reaches_the_latent_where_the_host_runs_nodes(weights, preprocessing, size):
    with torch.inference_mode():
        features = DINOFeatures(lambda z: z, load_dino(weights), preprocessing)
        r, f = repulsion(_latents(2, size), features)
    assert f.shape == (2, 384)
    assert r.flatten(1).norm(dim=1).min() > 0
    assert torch.isfinite(r).all()


def test_weights_are_found_in_the_users_folder(weights, tmp_path, empty_caches):
    assert find_dino_weights([tmp_path, weights.parent]) == weights
    authors = tmp_path / "dino_deitsmall16_pretrain.pth"
    authors.write_bytes(b"")
    assert find_dino_weights([tmp_path]) == authors


def test_weights_are_found_in_the_caches(tmp_path, empty_caches):
    assert find_dino_weights([tmp_path / "none"]) is None
    hub = tmp_path / "torch" / "hub" / "checkpoints" / "dino_deitsmall16_pretrain.pth"
    hub.parent.mkdir(parents=True)
    hub.write_bytes(b"")
    assert find_dino_weights() == hub
    hub.unlink()
    timms = tmp_path / "hub" / f"models--timm--{DINO_MODEL}"
    kept = timms / "snapshots" / "abc" / "model.safetensors"
    for path, content in ((kept, ""), (timms / "refs" / "main", "abc")):
        path.parent.mkdir(parents=True)
        path.write_text(content)
    assert find_dino_weights() == kept


def test_the_authors_file_is_read_as_well(weights, tmp_path):
    from safetensors.torch import load_file

    path = tmp_path / "dino_deitsmall16_pretrain.pth"
    torch.save(load_file(weights), path)
    image = _latents(1)
    with torch.no_grad():
        one, other = (DINOFeatures(lambda z: z, load_dino(file))(image) for file in (weights, path))
    assert torch.equal(one, other)


def test_a_file_with_other_weights_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=re.escape("other.safetensors does not hold the weights of vit_small")):
        load_dino(path)


def test_an_unknown_model_is_refused(weights):
    with pytest.raises(ValueError, match="timm has no model 'vit_of_nobody'"):
        load_dino(weights, "vit_of_nobody")


def test_an_unknown_preprocessing_is_refused():
    with pytest.raises(ValueError, match="preprocessing is 'none'; choose one of imagenet, rsd_compat"):
        DINOFeatures(lambda z: z, torch.nn.Identity(), "none")
