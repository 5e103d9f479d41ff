"""Where a picture has edges: by hand, in the mean, and where there are none."""

import math

import pytest
import torch
from operator_problems import generator, picture
from sampler_lab.posterior.data_steps.pixel import pixel_variance
from sampler_lab.posterior.edge_map import RADIUS, edge_map


def by_hand(image):
    """Pixel by pixel, of one image ``[C, H, W]``: differences to the right and down, a Gaussian of one pixel."""
    channels, height, width = image.shape
    energy = torch.zeros(height, width, dtype=image.dtype)
    for c in range(channels):
        for i in range(height):
            for j in range(width):
                right = image[c, i, j + 1] - image[c, i, j] if j + 1 < width else 0.0
                down = image[c, i + 1, j] - image[c, i, j] if i + 1 < height else 0.0
                energy[i, j] += (right**2 + down**2) / channels
    weights = [math.exp(-0.5 * k * k) for k in range(-RADIUS, RADIUS + 1)]
    blurred = torch.zeros_like(energy)
    for i in range(height):
        for j in range(width):
            for a, wa in zip(range(-RADIUS, RADIUS + 1), weights, strict=True):
                for b, wb in zip(range(-RADIUS, RADIUS + 1), weights, strict=True):
                    row, column = min(max(i + a, 0), height - 1), min(max(j + b, 0), width - 1)
                    blurred[i, j] += wa * wb * energy[row, column]
    return blurred / blurred.mean()


@pytest.mark.parametrize("size", [(6, 9), (5, 5), (2, 3)])
def test_it_is_the_blurred_energy_of_the_gradient(size):
    images = torch.randn(2, 3, *size, generator=generator(), dtype=torch.float64)
    found = edge_map(images)
    assert found.shape == (2, 1, *size)
    for k in range(2):
        torch.testing.assert_close(found[k, 0], by_hand(images[k]), rtol=1e-9, atol=1e-12)


def test_its_mean_is_one_in_each_picture_however_strong_its_edges():
    images = picture(3, 16, 20) * torch.tensor([1.0, 1e-3, 1e-6]).reshape(3, 1, 1, 1)
    found = edge_map(images)
    torch.testing.assert_close(found.mean((1, 2, 3)), torch.ones(3))
    assert bool((found >= 0).all())
    torch.testing.assert_close(found[1:2], edge_map(picture(3, 16, 20)[1:2]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
def test_a_flat_picture_has_ones(value):
    assert torch.equal(edge_map(torch.full((2, 3, 8, 8), value)), torch.ones(2, 1, 8, 8))


def test_one_edge_is_found_where_it_is():
    image = torch.full((1, 3, 12, 12), -1.0)
    image[..., 6:] = 1.0
    found = edge_map(image)[0, 0]
    assert int(found[4].argmax()) == 5  # the difference stands at the pixel before it
    assert float(found[4, 0]) == float(found[4, 11]) == 0  # farther than the blur reaches
    assert torch.equal(found[0], found[11])


def test_pictures_of_one_and_two_pixels():
    assert edge_map(torch.zeros(1, 3, 1, 1)).shape == (1, 1, 1, 1)
    assert bool(edge_map(torch.tensor([[[[0.0, 1.0]]]])).isfinite().all())


def test_rows_know_nothing_of_each_other():
    images = picture(3)
    images[1, 0, 2, 2] = math.nan
    found = edge_map(images)
    torch.testing.assert_close(found[[0, 2]], edge_map(picture(3)[[0, 2]]))


def test_the_variance_of_pixels_has_the_mean_that_it_is_given():
    """s² = c t² (b + (1 - b) m)."""
    images, variance = picture(2), torch.tensor([0.01, 0.03])
    for share in (0.0, 0.3, 1.0):
        found = pixel_variance(images, variance, 2.0, share).expand(2, 1, 16, 16)
        torch.testing.assert_close(found.mean((1, 2, 3)), 2 * variance)
        expected = 2 * variance.reshape(2, 1, 1, 1) * (share + (1 - share) * edge_map(images))
        torch.testing.assert_close(found, expected)
        floor = 2 * share * variance.reshape(2, 1, 1, 1)
        assert bool((found >= floor * (1 - 1e-6)).all())
