"""What is true of every posterior of pictures, and which operators have one."""

import math

import pytest
import torch
from operator_problems import Halving
from sampler_lab.operators import GaussianNoise, Grey, Measurement, Operator, PhaseRetrieval
from sampler_lab.operators.linear_posterior import LinearPosterior
from sampler_lab.operators.phaseless_posterior import PhaselessPosterior
from sampler_lab.operators.posteriors import pixel_posterior


@pytest.mark.parametrize("x0", [-1.2, 0.1, 0.8])
@pytest.mark.parametrize("s", [0.2, 0.7])
def test_tweedies_gradient_for_a_likelihood_that_is_not_linear(x0, s):
    """-d log p(y | x0)/dx0 = (x0 - E[x | y])/s², here of the amplitude y = |x| + noise, by integration over x."""
    x = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    y, sigma = 0.6, 0.15
    likelihood = torch.exp(-0.5 * ((x.abs() - y) / sigma).square())

    def marginal(centre):
        return likelihood * torch.exp(-0.5 * ((x - centre) / s).square())

    density = marginal(x0)
    mean = float((density * x).sum() / density.sum())
    step = 1e-4
    slope = -(math.log(marginal(x0 + step).sum()) - math.log(marginal(x0 - step).sum())) / (2 * step)
    assert slope == pytest.approx((x0 - mean) / s**2, rel=1e-6, abs=1e-7)


def test_who_has_one():
    assert isinstance(pixel_posterior(PhaseRetrieval().measure(torch.zeros(1, 3, 8, 8), 0)), PhaselessPosterior)
    for operator in (Grey(), Halving()):
        assert isinstance(pixel_posterior(operator.measure(torch.zeros(1, 3, 8, 8), 0)), LinearPosterior)


def test_an_operator_without_one_says_what_to_use_instead():
    class Square(Operator):
        noise = GaussianNoise(0.1, clip_negative=False)

        def __call__(self, image):
            return image.square()

    with pytest.raises(
        ValueError, match=r"^Square has no posterior of pictures yet; use a chain instead \(Langevin or"
    ):
        pixel_posterior(Measurement(torch.ones(1, 3, 4, 4), Square()))
