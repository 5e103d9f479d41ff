"""Models trained on noise of another deviation than 1: the host's ``noise_scale`` (Model Noise Scale, HiDream-O1)."""

from __future__ import annotations

import math

import pytest
import torch
from linear_problem import Scale, identity_decoder
from problems import CONST, GUIDED, PRIOR, VE, GuidedModel
from sampler_lab.operators import Measurement
from sampler_lab.posterior.data_steps.langevin import Langevin
from sampler_lab.posterior.estimates.probability_flow import ProbabilityFlow
from sampler_lab.posterior.method import Method
from sampler_lab.samplers import CATALOGUE
from sampler_lab.samplers.latent_daps import sample_latent_daps
from sampler_lab.schedulers import poly_rho

BOTH = pytest.mark.parametrize("parameterization", [VE, CONST], ids=lambda p: p.name)
SIGMAS = torch.tensor([0.95, 0.7, 0.4, 0.15, 0.0], dtype=torch.float64)
SCALE = 2.5


@BOTH
@pytest.mark.parametrize("sampler", CATALOGUE, ids=lambda e: e.name)
def test_a_sampler_scales_with_the_noise(sampler, parameterization):
    """Data and noise both k times as large are the same problem in other units: x is k times as large."""
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    inner = GuidedModel(parameterization, GUIDED, PRIOR, 0.6)

    def larger(x, sigma, model_options=None, **extra_args):
        def in_its_units(args):
            for hook in (model_options or {}).get("sampler_post_cfg_function", ()):
                hook({**args, "uncond_denoised": SCALE * args["uncond_denoised"]})
            return args["denoised"]

        options = {"sampler_post_cfg_function": [in_its_units]}
        return SCALE * inner(x / SCALE, sigma, model_options=options, **extra_args)

    expected = sampler.function(inner, x, SIGMAS, {"seed": 3}, None, True)
    scaled = parameterization.with_noise_scale(SCALE)
    found = sampler.function(larger, SCALE * x, SIGMAS, {"seed": 3}, None, True, parameterization=scaled)
    assert torch.allclose(found, SCALE * expected, rtol=1e-9, atol=1e-9)


@BOTH
@pytest.mark.parametrize("sampler", [e for e in CATALOGUE if e.stochastic], ids=lambda e: e.name)
def test_without_noise_scale_no_fresh_noise(sampler, parameterization):
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model, silent = GuidedModel(parameterization, GUIDED, PRIOR, 0.6), parameterization.with_noise_scale(0.0)
    one, two = (
        sampler.function(model, x, SIGMAS, {"seed": seed}, None, True, parameterization=silent) for seed in (1, 2)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, sampler.function(model, x, SIGMAS, {"seed": 1}, None, True))


@BOTH
@pytest.mark.parametrize("noise_scale", [0.5, 8.0])
def test_latent_daps_goes_one_way_whatever_the_noise_is_scaled_by(parameterization, noise_scale):
    """The levels are the noise's own deviation, so a run between the same ones is the same run."""
    levels = poly_rho(8, 0.05, 20.0).double()
    noise = torch.randn(5, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    method = Method(
        ProbabilityFlow(steps=3, sigma_min=0.01),
        Langevin(steps=4, step_size=0.01, step_size_end=0.2, tau=0.5, prior_width="capped"),
    )
    z = []
    for kind in (VE, parameterization.with_noise_scale(noise_scale)):

        def denoise(x, sigma, kind=kind, **extra_args):
            level = sigma.double().reshape(-1, 1, 1, 1)
            return (kind.to_ve(x.double(), level) / (1 + kind.sigma_ve(level) ** 2)).float()

        sigmas = kind.sigma_from_ve(levels)
        z.append(
            sample_latent_daps(
                denoise,
                (kind.from_ve(noise * levels[0], sigmas[0])).float(),
                sigmas,
                {"seed": 5},
                disable=True,
                method=method,
                measurement=Measurement(torch.tensor([[[[1.0, -0.5], [0.0, 2.0]]]]), Scale()),
                decoder=identity_decoder,
                parameterization=kind,
            )
        )
    assert torch.allclose(z[0], z[1], atol=1e-4)
    assert z[0].std() > 0.1


@BOTH
def test_levels_are_the_noise_there_is(parameterization):
    scaled = parameterization.with_noise_scale(8.0)
    for sigma in (0.1, 0.5, 0.9):
        assert scaled.sigma_ve(sigma) == pytest.approx(8 * parameterization.sigma_ve(sigma))
        assert scaled.noise_deviation(sigma) == 8 * sigma
        assert scaled.sigma_from_ve(scaled.sigma_ve(sigma)) == pytest.approx(sigma)
        assert scaled.half_log_snr(sigma) == pytest.approx(parameterization.half_log_snr(sigma) - math.log(8))
        assert scaled.sigma_from_half_log_snr(scaled.half_log_snr(sigma)) == pytest.approx(sigma)
        tensor = torch.tensor([sigma], dtype=torch.float64)
        assert torch.allclose(scaled.sigma_from_ve(scaled.sigma_ve(tensor)), tensor)
    assert scaled.with_noise_scale(1.0) == parameterization
    assert parameterization.with_noise_scale(1.0) is parameterization


def test_impossible_noise_scales_are_one_sentence():
    for value in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="noise scale"):
            CONST.with_noise_scale(value)
    with pytest.raises(ValueError, match="noise scale is 0"):
        CONST.with_noise_scale(0.0).sigma_from_ve(1.0)
    with pytest.raises(ValueError, match="noise scale is 0"):
        VE.with_noise_scale(0.0).sigma_from_half_log_snr(1.0)
