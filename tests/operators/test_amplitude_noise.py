"""The noise of amplitudes whose intensity was recorded: quadrature against an adaptive integral and against draws."""

import math

import pytest
import torch
from operator_problems import generator
from sampler_lab.operators import GaussianNoise, PhaseRetrieval
from sampler_lab.operators.amplitude_noise import amplitude_noise, root_square
from sampler_lab.operators.noise import PoissonNoise
from scipy.integrate import quad
from scipy.stats import norm

#: In units of the root of sigma, where the root bends.
AMPLITUDES = (0.0, 0.1, 0.3, 0.7, 1.0, 1.5, 3.0, 10.0)


@pytest.mark.parametrize("sigma", [1e-4, 0.05, 2.0])
@pytest.mark.parametrize("share", AMPLITUDES)
def test_quadrature_is_the_integral(share, sigma):
    a = share * math.sqrt(sigma)

    def integrand(n):
        return (math.sqrt(max(a * a + sigma * n, 0)) - a) ** 2 * norm.pdf(n)

    kink = -a * a / sigma
    expected = a * a * norm.cdf(kink) + quad(integrand, max(kink, -12), 12, epsabs=0, epsrel=1e-10, limit=400)[0]
    assert root_square(torch.tensor([a]).double(), sigma).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("operator", "root"),
    [
        (PhaseRetrieval(quantity="intensity", noise=GaussianNoise(0.05)), True),
        (PhaseRetrieval(quantity="intensity", noise=GaussianNoise(0.05, clip_negative=False)), True),
        (PhaseRetrieval(quantity="intensity", noise=PoissonNoise(0.05)), True),
        (PhaseRetrieval(noise=GaussianNoise(0.05)), False),
        (PhaseRetrieval(noise=GaussianNoise(0.05, clip_negative=False)), False),
        (PhaseRetrieval(noise=PoissonNoise(0.05)), False),
    ],
    ids=str,
)
@pytest.mark.parametrize("a", [0.0, 0.05, 0.2, 0.35, 1.0])
def test_it_is_the_mean_of_many_draws(operator, root, a):
    """Of the amplitude as methods of phase retrieval are given it (``error_reduction.amplitudes``)."""
    values = torch.full((100_000,), a, dtype=torch.float64)
    y = operator.noise.draw(values.square() if root else values, generator(1))
    squares = ((y.clamp_min(0).sqrt() if root else y) - a).square()
    interval = 4.5 * squares.std().item() / math.sqrt(len(squares))
    assert amplitude_noise(operator)(values[:1]).item() == pytest.approx(squares.mean().item(), abs=interval + 1e-12)


def test_far_from_zero_it_is_the_textbooks():
    """sigma/(2a) is the root's standard deviation there."""
    assert root_square(torch.tensor([5.0]), 0.05).item() == pytest.approx((0.05 / 10) ** 2, rel=1e-3)


def test_without_noise_there_is_none():
    assert root_square(torch.tensor([0.0, 1.0]), 0.0).tolist() == [0, 0]
    operator = PhaseRetrieval(quantity="intensity", noise=GaussianNoise(0.0))
    assert amplitude_noise(operator)(torch.ones(2, 3)).shape == (2, 3)
