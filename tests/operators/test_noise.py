"""Noise floors against Monte Carlo with stated intervals, and against closed forms."""

import math

import pytest
import torch
from operator_problems import generator, picture
from sampler_lab.operators import Measurement, PhaseRetrieval
from sampler_lab.operators.noise import (
    GaussianNoise,
    PoissonNoise,
    estimate_sigma,
    mixing_weights,
    root_poisson_square,
)

MODELS = [
    GaussianNoise(0.05, clip_negative=True),
    GaussianNoise(0.05, clip_negative=False),
    PoissonNoise(0.05, "amplitude"),
    PoissonNoise(0.05, "intensity"),
]


@pytest.mark.parametrize("noise", MODELS, ids=str)
@pytest.mark.parametrize("amplitude", [0.0, 0.02, 0.05, 0.2, 1.5])
def test_expected_square_is_the_mean_of_many_draws(noise, amplitude):
    values = torch.full((200_000,), amplitude, dtype=torch.float64)
    squares = (noise.draw(values, generator(3)) - values).square()
    # 4.5 standard errors: a chance of 1 in 150,000 for each of the twenty cases, were the seed not fixed.
    interval = 4.5 * squares.std().item() / math.sqrt(len(squares))
    assert noise.expected_square(values[:1]).item() == pytest.approx(squares.mean().item(), abs=interval + 1e-12)


def test_clipped_gaussian_in_closed_form():
    noise = GaussianNoise(2.0, clip_negative=True)
    squares = noise.expected_square(torch.tensor([0.0, 40.0], dtype=torch.float64))
    assert squares.tolist() == pytest.approx([2.0, 4.0])  # half of sigma² at zero, all of it far away


def test_root_poisson_in_closed_form():
    """E(sqrt(N) - sqrt(lambda))² = 2 lambda - 2 sqrt(lambda) E sqrt(N); small rates by hand, and
    the sum joins the series without a step."""
    rate = 1e-4  # N is 0 or 1: E sqrt(N) = lambda to first order
    assert root_poisson_square(torch.tensor([0.0, rate])).tolist() == pytest.approx(
        [0.0, 2 * rate - 2 * rate**1.5], rel=1e-3
    )
    below, above = root_poisson_square(torch.tensor([49.999999, 50.000001], dtype=torch.float64)).tolist()
    assert below == pytest.approx(above, rel=2e-5)
    assert root_poisson_square(torch.tensor([1e9], dtype=torch.float64)).item() == pytest.approx(0.25, rel=1e-6)


def test_poisson_sigma_is_that_of_a_bright_amplitude():
    noise = PoissonNoise(0.05)
    assert noise.counts_per_unit == pytest.approx(100)
    assert noise.expected_square(torch.tensor([30.0])).sqrt().item() == pytest.approx(0.05, rel=1e-3)


# -- the floor of a whole measurement --------------------------------------------------------------------------------

CASES = {
    "clipped": ({}, 0.01),
    "clipped, weak noise": ({"noise_sigma": 0.01}, 0.01),
    "clipped, strong noise": ({"noise_sigma": 0.3}, 0.015),
    "not clipped": ({"clip_negative": False}, 1e-6),
    "-1..1": ({"signal_range": "-1..1"}, 0.01),
    "intensity": ({"kind": "intensity"}, 0.015),
    "grey": ({"channels": "mean"}, 0.015),
    "poisson": ({"noise": "poisson"}, 0.08),
    "poisson intensity": ({"kind": "intensity", "noise": "poisson"}, 0.01),
}


@pytest.mark.parametrize("case", CASES)
def test_floor_estimated_from_data_is_the_floor_of_the_truth(case):
    settings, tolerance = CASES[case]
    image, operator = picture(1, 48, 48, seed=4), PhaseRetrieval.from_dict(settings)
    expected = operator.noise_floor(image)
    estimates = [operator.measure(image, seed).noise_floor for seed in range(4)]
    assert sum(estimates) / 4 == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("clip", [True, False])
def test_floor_is_the_mean_residual_of_the_truth(clip):
    image, operator = picture(), PhaseRetrieval(noise=GaussianNoise(clip_negative=clip))
    residuals = torch.tensor([operator.measure(image, seed).residual(image).item() for seed in range(200)])
    interval = 4.5 * residuals.std().item() / math.sqrt(len(residuals))
    assert operator.noise_floor(image) == pytest.approx(residuals.mean().item(), abs=interval)


def test_floor_without_clipping_is_m_sigma_squared():
    measurement = PhaseRetrieval(noise=GaussianNoise(0.05, clip_negative=False)).measure(picture(), 0)
    assert measurement.noise_floor == pytest.approx(measurement.count * 0.05**2)


def test_clipped_floor_lies_where_it_was_measured():
    """0.53–0.64 of m·sigma² at sigma 0.05 on photographs; these smooth pictures are of that kind."""
    measurement = PhaseRetrieval().measure(picture(1, 64, 64), 0)
    assert 0.5 < measurement.noise_floor / (measurement.count * 0.05**2) < 0.7


def test_taking_the_data_for_the_amplitudes_would_be_wrong():
    """Why the mixing distribution is estimated at all: the obvious estimate is off by far more than 1 %."""
    image, operator = picture(1, 48, 48), PhaseRetrieval()
    naive = operator.noise.expected_square(operator.measure(image, 0).y).sum().item()
    assert abs(naive / operator.noise_floor(image) - 1) > 0.05


def test_dead_pixels_do_not_count():
    image, operator = picture(1, 48, 48), PhaseRetrieval()
    whole = operator.measure(image, 0)
    mask = (torch.rand(whole.y.shape, generator=generator(1)) > 0.5).float()
    half = Measurement(whole.y, operator, mask)
    assert half.noise_floor == pytest.approx(operator.noise_floor(image, mask=mask), rel=0.02)
    assert half.noise_floor == pytest.approx(0.5 * whole.noise_floor, rel=0.1)


def test_mixing_weights_find_a_known_mixture():
    likelihood = torch.tensor([[0.9, 0.2], [0.1, 0.8]], dtype=torch.float64)
    truth = torch.tensor([0.3, 0.7], dtype=torch.float64)
    assert mixing_weights(likelihood, 1000 * (likelihood @ truth)).tolist() == pytest.approx(truth.tolist(), abs=1e-6)


# -- the noise itself, from the pattern's symmetry -------------------------------------------------------------------


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("sigma", [0.01, 0.05])
@pytest.mark.parametrize("shape", [(96, 96), (97, 95)])
def test_sigma_from_opposite_points(sigma, clip, shape):
    operator = PhaseRetrieval(detector=shape, noise=GaussianNoise(sigma, clip_negative=clip))
    image = torch.rand(1, 3, 64, 64, generator=generator(2)) * 2 - 1  # white noise has many bright amplitudes
    assert estimate_sigma(operator.measure(image, 0).y) == pytest.approx(sigma, rel=0.05)


def test_sigma_with_dead_pixels():
    y = PhaseRetrieval().measure(torch.rand(1, 3, 64, 64, generator=generator(2)) * 2 - 1, 0).y.clone()
    mask = torch.rand(y.shape, generator=generator(1)) > 0.3
    y[~mask] = 0
    assert estimate_sigma(y, mask.float()) == pytest.approx(0.05, rel=0.05)


def test_refuses_to_estimate_sigma_from_nothing():
    with pytest.raises(ValueError, match=r"too few bright point-symmetric pixels; enter noise_sigma"):
        estimate_sigma(torch.randn(1, 1, 8, 8, generator=generator()))
