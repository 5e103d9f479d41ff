"""SSIM against a slow computation straight from the definition, and against what the definition implies."""

import math

import numpy as np
import pytest
import torch
from sampler_lab.metrics import ssim


def window():
    """The 11 × 11 Gaussian of width 1.5, summing to 1."""
    w = np.array([[math.exp(-((i - 5) ** 2 + (j - 5) ** 2) / (2 * 1.5**2)) for j in range(11)] for i in range(11)])
    return w / w.sum()


def slow_ssim(a, b):
    """One channel, patch by patch, deviations from the mean squared one by one; nothing shared with the fast one."""
    w, values = window(), []
    for i in range(a.shape[0] - 10):
        for j in range(a.shape[1] - 10):
            p, q = a[i : i + 11, j : j + 11], b[i : i + 11, j : j + 11]
            mean_p, mean_q = (w * p).sum(), (w * q).sum()
            var_p, var_q = (w * (p - mean_p) ** 2).sum(), (w * (q - mean_q) ** 2).sum()
            cov = (w * (p - mean_p) * (q - mean_q)).sum()
            top = (2 * mean_p * mean_q + 0.01**2) * (2 * cov + 0.03**2)
            values.append(top / ((mean_p**2 + mean_q**2 + 0.01**2) * (var_p + var_q + 0.03**2)))
    return np.mean(values)


@pytest.mark.parametrize("shape", [(11, 11), (11, 17), (20, 14)])
@pytest.mark.parametrize("noise", [0.02, 0.3])
def test_equals_the_definition(shape, noise):
    g = torch.Generator().manual_seed(3)
    reference = torch.rand(1, 3, *shape, generator=g, dtype=torch.float64)
    images = (reference + noise * torch.randn(2, 3, *shape, generator=g, dtype=torch.float64)).clamp(0, 1)
    slow = [np.mean([slow_ssim(x[c].numpy(), reference[0, c].numpy()) for c in range(3)]) for x in images]
    np.testing.assert_allclose(ssim(images, reference).numpy(), slow, rtol=1e-10)
    np.testing.assert_allclose(ssim(images.float(), reference.float()).numpy(), slow, atol=2e-5)


def test_flat_images_leave_only_the_luminance_term():
    a, b = torch.full((1, 3, 12, 12), 0.2, dtype=torch.float64), torch.full((1, 3, 12, 12), 0.7, dtype=torch.float64)
    expected = (2 * 0.2 * 0.7 + 1e-4) / (0.2**2 + 0.7**2 + 1e-4)
    assert ssim(a, b).item() == pytest.approx(expected, rel=1e-9)


def test_is_one_for_equal_images_symmetric_and_negative_for_a_negative():
    g = torch.Generator().manual_seed(4)
    a, b = (torch.rand(1, 3, 16, 16, generator=g, dtype=torch.float64) for _ in range(2))
    assert ssim(a, a).item() == pytest.approx(1.0, abs=1e-12)
    assert ssim(a, b).item() == pytest.approx(ssim(b, a).item(), abs=1e-12)
    assert ssim(1 - a, a).item() < -0.5


def test_a_row_with_nan_stays_alone():
    reference = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(5))
    images = torch.cat([reference, reference.clone()])
    images[0, 0, 3, 3] = math.nan
    assert ssim(images, reference)[0].isnan()
    assert ssim(images, reference)[1].item() == pytest.approx(1.0, abs=1e-6)


def test_refuses_images_smaller_than_the_window():
    with pytest.raises(ValueError, match="the images are 16×10; SSIM needs at least 11 pixels each way"):
        ssim(torch.rand(1, 3, 10, 16), torch.rand(1, 3, 10, 16))
