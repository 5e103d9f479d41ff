"""The networks of Emoji-64: shapes, preconditioning, class weights, shipped weights."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from sampler_lab.priors import loader
from sampler_lab.priors.autoencoder import Autoencoder
from sampler_lab.priors.classes import CLASSES, NULL_CLASS, class_index, class_weights, with_null_mass
from sampler_lab.priors.unet import Denoiser

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def prior() -> loader.EmojiPrior:
    return loader.load_emoji_prior()


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_all_weights_together_are_at_most_ten_megabytes():
    files = list(loader.WEIGHTS.iterdir())
    assert {file.name for file in files} == {loader.AUTOENCODER_FILE, loader.DENOISER_FILE}
    assert sum(file.stat().st_size for file in files) <= 10 * MEGABYTE


def test_the_prior_is_frozen_and_its_latents_are_standardised(prior):
    assert not prior.denoiser.training
    assert not any(p.requires_grad for p in [*prior.denoiser.parameters(), *prior.autoencoder.parameters()])
    image = noise(2, 3, 64, 64).clamp(-1, 1)
    raw = prior.autoencoder.encode(image)
    assert raw.shape == (2, 4, 16, 16)
    torch.testing.assert_close(prior.encode(image) * prior.std + prior.mean, raw)
    torch.testing.assert_close(prior.decode(prior.encode(image)), prior.autoencoder.decode(raw), atol=1e-5, rtol=1e-5)


def test_a_gradient_passes_through_the_decoder(prior):
    latent = noise(2, 4, 16, 16).requires_grad_()
    prior.decode(latent).square().sum().backward()
    assert torch.isfinite(latent.grad).all()
    assert (latent.grad != 0).all(dim=(2, 3)).all()


def test_an_untrained_denoiser_is_the_gaussian_posterior_mean():
    """The output layer starts at zero, so D = c_skip x = x / (1 + sigma^2): exact for standard normal data."""
    torch.manual_seed(0)
    denoiser = Denoiser()
    torch.nn.init.zeros_(denoiser.network.output.bias)
    x, sigma = noise(3, 4, 16, 16), torch.tensor([0.1, 1.0, 10.0])
    torch.testing.assert_close(denoiser(x, sigma), x / (1 + sigma**2).reshape(-1, 1, 1, 1))


def test_small_noise_is_left_alone_and_large_noise_says_nothing(prior):
    clean = prior.encode(noise(1, 3, 8, 8).clamp(-1, 1).repeat_interleave(8, 2).repeat_interleave(8, 3))
    torch.testing.assert_close(prior.denoiser(clean, 1e-4), clean, atol=1e-3, rtol=0)
    first, second = (prior.denoiser(80.0 * noise(2, 4, 16, 16)[i : i + 1], 80.0) for i in (0, 1))
    assert (first - second).abs().mean() < 0.25


def test_sigma_may_be_a_number_or_one_per_item(prior):
    x = noise(3, 4, 16, 16)
    torch.testing.assert_close(prior.denoiser(x, 0.7), prior.denoiser(x, torch.full((3,), 0.7)))
    one = torch.cat([prior.denoiser(x[i : i + 1], s) for i, s in enumerate((0.2, 1.0, 5.0))])
    torch.testing.assert_close(prior.denoiser(x, torch.tensor([0.2, 1.0, 5.0])), one, atol=1e-5, rtol=1e-5)


def test_no_condition_is_the_null_class_and_a_class_changes_the_answer(prior):
    x = noise(1, 4, 16, 16) * 3
    free = prior.denoiser(x, 3.0)
    torch.testing.assert_close(prior.denoiser(x, 3.0, class_weights(NULL_CLASS)), free)
    answers = [prior.denoiser(x, 3.0, class_weights(name)) for name in CLASSES]
    assert all((answer - free).abs().max() > 1e-3 for answer in answers)


def test_the_null_class_takes_the_missing_mass():
    weights = torch.stack([class_weights("flag"), class_weights(NULL_CLASS), 0.25 * class_weights("face")])
    full = with_null_mass(weights)
    torch.testing.assert_close(full.sum(-1), torch.ones(3))
    torch.testing.assert_close(full[:, -1], torch.tensor([0.0, 1.0, 0.75]))
    assert class_index(NULL_CLASS) == len(CLASSES) == 12


def test_an_unknown_class_is_named():
    with pytest.raises(ValueError, match="class 'robot' is unknown"):
        class_weights("robot")


def test_a_missing_weight_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=f"{loader.AUTOENCODER_FILE} is missing"):
        loader.load_emoji_prior(tmp_path)


def test_weights_of_another_network_are_refused(tmp_path):
    loader.save_autoencoder(tmp_path / loader.AUTOENCODER_FILE, Autoencoder())
    save_file({"latent_mean": torch.zeros(4), "latent_std": torch.ones(4)}, tmp_path / loader.DENOISER_FILE)
    with pytest.raises(ValueError, match="UNet do not fit"):
        loader.load_emoji_prior(tmp_path)


def test_weights_survive_saving_and_loading(prior, tmp_path):
    loader.save_autoencoder(tmp_path / loader.AUTOENCODER_FILE, prior.autoencoder)
    loader.save_denoiser(tmp_path / loader.DENOISER_FILE, prior.denoiser, prior.mean, prior.std)
    again = loader.load_emoji_prior(tmp_path)
    x = noise(1, 4, 16, 16)
    assert torch.equal(again.denoiser(x, 1.0), prior.denoiser(x, 1.0))
    assert torch.equal(again.decode(x), prior.decode(x))
