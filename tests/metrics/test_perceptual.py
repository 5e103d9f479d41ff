"""LPIPS with a backbone made here, against its definition computed by hand; and its absence, which is one log line."""

import logging
import math
import socket
from pathlib import Path

import lpips as package
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from sampler_lab.metrics import load_lpips
from sampler_lab.metrics.perceptual import BACKBONE_FILE, SMALLEST_IMAGE, find_backbone

#: AlexNet's convolutions: index in torchvision's ``features``, out, in, kernel, stride, padding.
CONVOLUTIONS = [(0, 64, 3, 11, 4, 2), (3, 192, 64, 5, 1, 2), (6, 384, 192, 3, 1, 1), (8, 256, 384, 3, 1, 1)]
CONVOLUTIONS += [(10, 256, 256, 3, 1, 1)]


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    """Nothing may be fetched, and nothing that lies in this machine's cache may help."""

    def refuse(*_):
        raise AssertionError("a metric tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty-cache"))


def backbone_weights():
    """Random weights under torchvision's names, of a size that keeps activations alive."""
    g = torch.Generator().manual_seed(6)
    weights = {}
    for layer, out, into, kernel, _, _ in CONVOLUTIONS:
        scale = math.sqrt(2 / (into * kernel**2))
        weights[f"features.{layer}.weight"] = torch.randn(out, into, kernel, kernel, generator=g) * scale
        weights[f"features.{layer}.bias"] = 0.1 * torch.randn(out, generator=g)
    return weights


@pytest.fixture
def weights():
    return backbone_weights()


def by_hand(image, reference, weights):
    """Zhang et al., equation 1, with the package's own heads."""
    heads = torch.load(Path(package.__file__).parent / "weights/v0.1/alex.pth", map_location="cpu", weights_only=True)
    shift = torch.tensor([-0.030, -0.088, -0.188])[:, None, None]
    scale = torch.tensor([0.458, 0.448, 0.450])[:, None, None]
    a, b = ((2 * x - 1 - shift) / scale for x in (image, reference))
    total = 0.0
    for k, (layer, _, _, _, stride, pad) in enumerate(CONVOLUTIONS):
        if layer in (3, 6):
            a, b = F.max_pool2d(a, 3, 2), F.max_pool2d(b, 3, 2)
        kernel, bias = weights[f"features.{layer}.weight"], weights[f"features.{layer}.bias"]
        a, b = (F.conv2d(x, kernel, bias, stride, pad).relu() for x in (a, b))
        unit_a, unit_b = (x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10) for x in (a, b))
        head = heads[f"lin{k}.model.1.weight"]
        total = total + F.conv2d((unit_a - unit_b).square(), head).mean(dim=(1, 2, 3))
    return total


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_equals_the_definition(tmp_path, weights, suffix):
    if suffix == "pth":
        # torchvision's file also holds the classifier, which must be ignored.
        torch.save({**weights, "classifier.1.weight": torch.zeros(2, 2)}, tmp_path / BACKBONE_FILE)
    else:
        save_file(weights, tmp_path / "alexnet.safetensors")
    distance = load_lpips([tmp_path])
    g = torch.Generator().manual_seed(7)
    reference = torch.rand(1, 3, 64, 48, generator=g)
    images = torch.rand(11, 3, 64, 48, generator=g)
    images[4] = reference[0]
    found = distance(images, reference)
    torch.testing.assert_close(found, by_hand(images, reference.expand_as(images), weights), rtol=1e-4, atol=1e-6)
    assert found[4] == 0
    assert found[[0, 1, 2, 3, 5, 6, 7, 8, 9, 10]].min() > 1e-3


def test_works_at_its_smallest_size_and_says_so_below(tmp_path, weights):
    torch.save(weights, tmp_path / BACKBONE_FILE)
    distance = load_lpips([tmp_path])
    g = torch.Generator().manual_seed(8)
    smallest = torch.rand(2, 3, SMALLEST_IMAGE, SMALLEST_IMAGE, generator=g)
    assert distance(smallest[:1], smallest[1:]).isfinite().all()
    with pytest.raises(ValueError, match="30×31; LPIPS needs 31 pixels each way"):
        distance(smallest[..., 1:], smallest[..., 1:])
    with pytest.raises(ValueError, match="LPIPS needs RGB images, and these have 1 channels"):
        distance(smallest[:, :1], smallest[:, :1])


def test_without_weights_it_is_none_and_one_line_says_where_they_go(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        assert load_lpips([tmp_path / "models" / "lpips"]) is None
    assert len(caplog.records) == 1
    assert BACKBONE_FILE in caplog.text
    assert str(tmp_path / "models" / "lpips") in caplog.text


@pytest.mark.parametrize("content", [b"not a checkpoint", b""])
@pytest.mark.parametrize("name", [BACKBONE_FILE, "alexnet.safetensors"])
def test_a_broken_file_is_one_line_and_none(tmp_path, caplog, name, content):
    (tmp_path / name).write_bytes(content)
    with caplog.at_level(logging.INFO):
        assert load_lpips([tmp_path]) is None
    assert len(caplog.records) == 1
    assert "does not hold AlexNet's weights" in caplog.text


def test_weights_of_another_network_are_one_line_and_none(tmp_path, caplog, weights):
    weights["features.0.weight"] = torch.zeros(64, 3, 3, 3)
    torch.save(weights, tmp_path / BACKBONE_FILE)
    torch.save({"other": torch.zeros(1)}, tmp_path / "alexnet-other.pth")
    with caplog.at_level(logging.INFO):
        assert load_lpips([tmp_path]) is None
        (tmp_path / BACKBONE_FILE).unlink()
        assert load_lpips([tmp_path]) is None
    assert [record.message.count("does not hold AlexNet's weights") for record in caplog.records] == [1, 1]


def test_a_file_that_would_run_code_is_refused(tmp_path, caplog):
    class Harm:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "harm",))

    torch.save({"features.0.weight": Harm()}, tmp_path / BACKBONE_FILE)
    with caplog.at_level(logging.INFO):
        assert load_lpips([tmp_path]) is None
    assert not (tmp_path / "harm").exists()


def test_leaves_the_global_random_stream_alone(tmp_path, weights):
    torch.save(weights, tmp_path / BACKBONE_FILE)
    before = torch.get_rng_state()
    load_lpips([tmp_path])
    assert torch.equal(torch.get_rng_state(), before)


def test_finds_the_users_file_before_torchs_cache(tmp_path, monkeypatch):
    cache = tmp_path / "torch" / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (cache / BACKBONE_FILE).touch()
    mine = tmp_path / "mine"
    assert find_backbone([mine]) == cache / BACKBONE_FILE
    mine.mkdir()
    (mine / "alexnet.safetensors").touch()
    assert find_backbone([mine]) == mine / "alexnet.safetensors"
