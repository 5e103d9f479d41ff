"""PSNR against its definition, and what a flat image is worth."""

import math

import pytest
import torch
from sampler_lab.metrics import flat_image_psnr, psnr


@pytest.mark.parametrize("decibels", [0.0, 10.0, 20.0, 33.7])
def test_a_known_error_gives_its_decibels(decibels):
    reference = torch.full((1, 3, 5, 7), 0.25, dtype=torch.float64)
    images = reference + 10 ** (-decibels / 20)
    assert psnr(images, reference).item() == pytest.approx(decibels, abs=1e-9)


def test_the_mean_is_over_pixels_and_channels_not_over_their_decibels():
    reference = torch.zeros(1, 3, 4, 4, dtype=torch.float64)
    images = reference.clone()
    images[:, 0] = 0.3  # mean squared error 0.09/3
    assert psnr(images, reference).item() == pytest.approx(-10 * math.log10(0.03), abs=1e-12)


def test_equal_images_are_infinite_and_rows_do_not_mix():
    reference = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    images = torch.cat([reference, torch.full_like(reference, math.nan), reference + 0.1])
    values = psnr(images, reference)
    assert values[0] == math.inf
    assert values[1].isnan()
    assert values[2].item() == pytest.approx(20, abs=1e-4)


def test_one_reference_per_image():
    g = torch.Generator().manual_seed(1)
    images, references = (torch.rand(4, 3, 6, 6, generator=g) for _ in range(2))
    one_by_one = torch.cat([psnr(images[k : k + 1], references[k : k + 1]) for k in range(4)])
    assert torch.equal(psnr(images, references), one_by_one)


def test_a_flat_image_scores_the_variance_within_channels():
    reference = torch.rand(2, 3, 9, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    variance = reference.flatten(2).var(dim=2, correction=0).mean(1)
    torch.testing.assert_close(flat_image_psnr(reference), -10 * variance.log10())


@pytest.mark.parametrize(
    ("images", "reference", "sentence"),
    [
        (torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 9), r"images are 8×8 .* reference is 9×8; resize or crop"),
        (torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8), "3 channels and the reference has 1; convert both to RGB"),
        (torch.rand(2, 3, 8, 8), torch.rand(3, 3, 8, 8), "2 images and 3 references; give one reference"),
        (torch.rand(3, 8, 8), torch.rand(1, 3, 8, 8), r"images is \[3, 8, 8\]; it must be a tensor \[N, C, H, W\]"),
        (torch.rand(0, 3, 8, 8), torch.rand(1, 3, 8, 8), "images is empty"),
        (torch.rand(1, 3, 8, 8), torch.ones(1, 3, 8, 8).byte(), "reference has dtype torch.uint8"),
        ([[0.0]], torch.rand(1, 3, 8, 8), "images is list"),
    ],
)
def test_says_why_two_batches_cannot_be_compared(images, reference, sentence):
    with pytest.raises(ValueError, match=sentence):
        psnr(images, reference)
