"""The probability-flow ODE against its exact solution under a Gaussian prior, where D(x; sigma) = x/(1 + sigma²)."""

import math
from itertools import pairwise

import pytest
import torch
from sampler_lab.diffusion.parameterization import CONST, VE
from sampler_lab.posterior.estimates.probability_flow import ProbabilityFlow, probability_flow


def gaussian_denoiser(parameterization):
    """E[x0 | x] for x0 ~ N(0, 1), exact in either parameterization."""

    def denoise(x, sigma):
        alpha = parameterization.alpha(sigma)
        return x * alpha / (alpha**2 + sigma**2)

    return denoise


def solve(x_ve, sigma_ve, steps, parameterization, sigma_min=1e-4):
    sigma = parameterization.sigma_from_ve(torch.tensor(sigma_ve, dtype=torch.float64))
    x = parameterization.from_ve(x_ve, sigma)
    return probability_flow(
        gaussian_denoiser(parameterization), x, sigma, parameterization, ProbabilityFlow(steps, sigma_min)
    )


@pytest.mark.parametrize("parameterization", [VE, CONST], ids=lambda p: p.name)
def test_converges_at_first_order_to_the_exact_solution(parameterization):
    x = torch.linspace(-20, 20, 11, dtype=torch.float64)[:, None]
    exact = x / math.sqrt(1 + 10.0**2)  # dx/dsigma = x·sigma/(1 + sigma²)
    errors = [(solve(x, 10.0, n, parameterization) - exact).abs().max().item() for n in (32, 64, 128)]
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    assert orders == pytest.approx([1.0, 1.0], abs=0.15)


def test_flow_and_ve_follow_the_same_trajectory():
    x = torch.linspace(-5, 5, 7, dtype=torch.float64)[:, None]
    for steps in (1, 2, 5):
        torch.testing.assert_close(solve(x, 3.0, steps, VE), solve(x, 3.0, steps, CONST), rtol=1e-10, atol=1e-10)


def test_a_flow_may_start_at_sigma_one():
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sigma = torch.tensor(1.0, dtype=torch.float64)
    x0_hat = probability_flow(gaussian_denoiser(CONST), x, sigma, CONST, ProbabilityFlow(400, 1e-4))
    # From pure noise the exact map to the unit Gaussian is the identity.
    torch.testing.assert_close(x0_hat, x, rtol=0.05, atol=0.01)


def test_below_sigma_min_one_denoiser_call_is_the_estimate():
    x, sigma = torch.ones(2, 3), torch.tensor(0.0005)
    denoise = gaussian_denoiser(VE)
    assert torch.equal(probability_flow(denoise, x, sigma, VE, ProbabilityFlow(2, 0.001)), denoise(x, sigma))


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_costs_one_call_per_step(steps):
    calls = []
    denoise = gaussian_denoiser(VE)

    def counted(x, sigma):
        calls.append(float(sigma))
        return denoise(x, sigma)

    probability_flow(counted, torch.ones(1, 2), torch.tensor(10.0), VE, ProbabilityFlow(steps, 0.001))
    assert len(calls) == steps
    assert calls == sorted(calls, reverse=True)


def test_the_published_two_call_grid():
    assert ProbabilityFlow(2, 0.001).levels(10.0) == pytest.approx([10.0, 0.412, 0.001], abs=1e-3)


@pytest.mark.parametrize(("field", "value", "word"), [("steps", 0, "steps is 0"), ("sigma_min", 0.0, "sigma_min is 0")])
def test_bad_options_are_named(field, value, word):
    with pytest.raises(ValueError, match=word):
        ProbabilityFlow(**{field: value})
