"""The training script: it learns, and a run that was interrupted continues exactly."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from sampler_lab.priors import loader, train
from sampler_lab.priors.data import Glyphs

OPTIONS = train.TrainOptions(steps=4, minutes=0.0, batch=4, warm_up=1)


@pytest.fixture
def work(tmp_path):
    """A work folder with a toy pool: four grey squares of different brightness."""
    rgba = np.full((4, 136, 136, 4), 255, np.uint8)
    rgba[..., :3] = np.array([0, 80, 160, 240], np.uint8)[:, None, None, None]
    names = np.array(["a", "b", "c", "d"])
    held_out = np.array([True, False, False, False])
    Glyphs(rgba, np.arange(4, dtype=np.uint8), names, names, held_out).save(tmp_path / "glyphs.npz")
    np.save(tmp_path / "pool_images.npy", rgba[np.arange(16) % 4, :64, :64, :3])
    np.save(tmp_path / "pool_labels.npy", (np.arange(16) % 4).astype(np.uint8))
    return tmp_path


def test_the_denoiser_trains_from_existing_weights_and_continues_from_its_checkpoint(work):
    train.train_denoiser(work, OPTIONS, loader.WEIGHTS, torch.device("cpu"))
    first = torch.load(work / "denoiser.ckpt", weights_only=True)
    assert first["step"] == 4
    longer = dataclasses.replace(OPTIONS, steps=6)
    train.train_denoiser(work, longer, loader.WEIGHTS, torch.device("cpu"))
    second = torch.load(work / "denoiser.ckpt", weights_only=True)
    assert second["step"] == 6
    assert not torch.equal(first["generator"], second["generator"])
    key = "network.output.weight"
    assert not torch.equal(first["module"][key], second["module"][key])
    trained = loader.load_emoji_prior(work / "weights")
    shipped = loader.load_emoji_prior()
    assert torch.equal(trained.mean, shipped.mean)
    assert not torch.equal(trained.denoiser.network.output.weight, shipped.denoiser.network.output.weight)


def test_the_same_seed_gives_the_same_weights(work, tmp_path_factory):
    results = []
    for _ in range(2):
        (work / "denoiser.ckpt").unlink(missing_ok=True)
        train.train_denoiser(work, OPTIONS, loader.WEIGHTS, torch.device("cpu"))
        results.append(torch.load(work / "denoiser.ckpt", weights_only=True)["module"])
    assert all(torch.equal(results[0][key], results[1][key]) for key in results[0])


def test_the_autoencoder_learns_from_nothing(work):
    options = dataclasses.replace(OPTIONS, steps=30)
    torch.manual_seed(0)
    train.train_autoencoder(work, options, None, torch.device("cpu"))
    average = loader.load_autoencoder(work / "weights")
    image = train.to_model_range(np.load(work / "pool_images.npy")[:4])
    error = (average.decode(average.encode(image)) - image).square().mean()
    assert error < 0.5 * image.square().mean()


def test_learning_rate_warms_up_and_falls_to_zero():
    progress = train.Progress(train.TrainOptions(steps=100, minutes=0.0, warm_up=10, learning_rate=1.0))
    assert progress.learning_rate() == pytest.approx(0.1)
    progress.step = 10
    assert progress.learning_rate() == pytest.approx(1.0)
    progress.step = 55
    assert progress.learning_rate() == pytest.approx(0.5)
    progress.step = 100
    assert progress.learning_rate() == pytest.approx(0.0)
    assert progress.fraction == 1
