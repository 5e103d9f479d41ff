"""Stochastic samplers: the distribution they give on a Gaussian prior, and noise that belongs to the item."""

from __future__ import annotations

import math

import pytest
import torch
from problems import CONST, ONE_GAUSSIAN, VE, GuidedModel
from sampler_lab.diffusion.particle_noise import ParticleNoise
from sampler_lab.samplers import CATALOGUE, entry
from sampler_lab.schedulers import poly_rho

BOTH = pytest.mark.parametrize("parameterization", [VE, CONST], ids=lambda p: p.name)
STOCHASTIC = pytest.mark.parametrize("sampler", [e for e in CATALOGUE if e.stochastic], ids=lambda e: e.name)
MEAN, VARIANCE = 0.7, 0.25  # ONE_GAUSSIAN


def levels(parameterization, n):
    """To 0.02, not to 0: the last hop to 0 gives the prediction, which has less variance than the prior."""
    if parameterization is VE:
        return poly_rho(n + 1, 0.02, 40.0, end_at_zero=False).double()
    return torch.linspace(1, 0.02, n + 1, dtype=torch.float64)


def marginal(parameterization, sigma):
    """Mean and deviation of x at level ``sigma``."""
    alpha, sigma = parameterization.alpha(float(sigma)), float(sigma)
    return alpha * MEAN, math.sqrt(alpha**2 * VARIANCE + sigma**2)


def exact_moments(function, parameterization, sigmas, **options):
    """Mean and variance of what the sampler gives, without sampling.

    The denoiser is affine, so the result is affine in the start and in every draw of noise. Item 0 gets none of them
    and is the mean; item k gets one unit of the k-th, and its distance from item 0 is how much that one counts.
    """
    draws = len(sigmas)
    x = torch.zeros(draws + 1, 1, dtype=torch.float64)
    mean, deviation = marginal(parameterization, sigmas[0])
    x += mean
    x[1] += deviation
    drawn = 1

    def noise_sampler(sigma, sigma_next):
        nonlocal drawn
        drawn += 1
        assert sigma_next < sigma
        impulse = torch.zeros_like(x)
        impulse[drawn] = 1.0
        return impulse

    model = GuidedModel(parameterization, ONE_GAUSSIAN)
    out = function(model, x, sigmas, disable=True, noise_sampler=noise_sampler, **options)
    return out[0].item(), (out[1:] - out[0]).square().sum().item()


@BOTH
@STOCHASTIC
def test_moments_are_those_of_the_samples(sampler, parameterization):
    """4,000 runs with seeded noise have the mean and variance that the sampler's own formula says."""
    n, sigmas = 4000, levels(parameterization, 20)
    mean, variance = exact_moments(sampler.function, parameterization, sigmas)
    noise = torch.randn(n, 1, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    start_mean, start_deviation = marginal(parameterization, sigmas[0])
    x = start_mean + start_deviation * noise
    out = sampler.function(GuidedModel(parameterization, ONE_GAUSSIAN), x, sigmas, {"seed": 8}, None, True)
    # Four standard errors: of a mean sqrt(v/n), of a variance v·sqrt(2/n).
    assert abs(out.mean().item() - mean) < 4 * math.sqrt(variance / n)
    assert abs(out.var().item() - variance) < 4 * variance * math.sqrt(2 / n)


@BOTH
@STOCHASTIC
@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_moments_converge_to_the_prior(sampler, parameterization, eta):
    options = {"solver_type": "reverse_sde"} if sampler.family == "er_sde" and eta != 1.0 else {}
    off = []
    for n in (40, 160, 640):
        sigmas = levels(parameterization, n)
        mean, variance = exact_moments(sampler.function, parameterization, sigmas, eta=eta, **options)
        exact_mean, exact_deviation = marginal(parameterization, sigmas[-1])
        off.append(abs(variance / exact_deviation**2 - 1))
        assert mean == pytest.approx(exact_mean, abs=0.002)
    assert off[2] < off[1] / 2 < off[0] / 4
    assert off[2] < 0.02


@BOTH
@pytest.mark.parametrize("name", ["dpmpp_2s_ancestral", "res_multistep_ancestral"])
def test_second_order_shows_in_the_variance_too(name, parameterization):
    def off(n):
        sigmas = levels(parameterization, n)
        _, variance = exact_moments(entry(name).function, parameterization, sigmas)
        return abs(variance / marginal(parameterization, sigmas[-1])[1] ** 2 - 1)

    assert math.log2(off(160) / off(320)) == pytest.approx(2, abs=0.15)


@STOCHASTIC
def test_s_noise_scales_the_noise(sampler):
    sigmas = levels(CONST, 10)
    without = exact_moments(sampler.function, CONST, sigmas, s_noise=0.0)
    with_all = exact_moments(sampler.function, CONST, sigmas)
    assert without[1] < with_all[1]
    assert without[0] == pytest.approx(with_all[0], abs=1e-12)


@STOCHASTIC
def test_an_item_does_not_depend_on_its_neighbours(sampler):
    x = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    model, sigmas = GuidedModel(CONST, ONE_GAUSSIAN), levels(CONST, 6).float()
    five = sampler.function(model, x, sigmas, {"seed": 8}, None, True)
    two = sampler.function(model, x[:2], sigmas, {"seed": 8}, None, True)
    assert torch.equal(five[:2], two)
    assert not torch.equal(five[2:4], two)


def test_neighbouring_items_seeds_and_streams_differ():
    x = torch.empty(4, 1000)
    draws = torch.cat([ParticleNoise(7)(x), ParticleNoise(8)(x), ParticleNoise(7, "other")(x)])
    correlation = torch.corrcoef(draws) - torch.eye(12)
    assert correlation.abs().max() < 5 / math.sqrt(1000)
    assert draws.mean().abs() < 5 / math.sqrt(draws.numel())
    assert draws.std() == pytest.approx(1, abs=0.03)


def test_survivors_keep_their_noise():
    whole, pruned = ParticleNoise(3), ParticleNoise(3)
    whole(torch.empty(4, 6))
    pruned(torch.empty(4, 6))
    pruned.keep([3, 1])
    assert torch.equal(pruned(torch.empty(2, 6)), whole(torch.empty(4, 6))[[3, 1]])


def test_a_copy_gets_a_stream_of_its_own():
    """The second of two equal rows goes on as particle 4, whatever it was before."""
    five, copied = ParticleNoise(3), ParticleNoise(3)
    five(torch.empty(4, 6))
    copied(torch.empty(4, 6))
    copied.keep([1, 3, 3])
    expected = five(torch.empty(4, 6))
    fifth = ParticleNoise(3)(torch.empty(5, 6))[4]
    assert torch.equal(copied(torch.empty(3, 6)), torch.stack([expected[1], expected[3], fifth]))


def test_noise_does_not_change_with_the_dtype():
    single = ParticleNoise(3)(torch.empty(2, 50))
    assert torch.equal(ParticleNoise(3)(torch.empty(2, 50, dtype=torch.float16)), single.half())
    assert torch.equal(ParticleNoise(3)(torch.empty(2, 50, dtype=torch.float64)), single.double())
