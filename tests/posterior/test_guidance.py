"""Likelihood guidance on linear Gaussian problems, whose posterior is known exactly."""

from __future__ import annotations

import math

import pytest
import torch
from linear_problem import Scale, gaussian_denoiser, identity_decoder
from sampler_lab.diffusion.parameterization import CONST, VE
from sampler_lab.posterior.autoencoder import Autoencoder
from sampler_lab.posterior.decoding import Decoding
from sampler_lab.posterior.guidance import FORMS, GuidanceOptions, guide
from sampler_lab.posterior.likelihood import Likelihood

GAIN, NOISE = 0.7, 0.4
PARAMETERIZATIONS = pytest.mark.parametrize("parameterization", [VE, CONST], ids=["VE", "CONST"])


def _likelihood(size=5):
    truth = torch.randn(1, 1, size, size, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return Likelihood(
        Scale(GAIN, NOISE).measure(truth, seed=1), Autoencoder(identity_decoder, decoding=Decoding(precision="full"))
    )


def _x(count, seed=0):
    return torch.randn(count, 1, 5, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _exact(x, sigma, parameterization, y):
    """E[x0 | x, y] for the prior N(0, 1): three Gaussian factors, weighted by their precisions."""
    alpha = parameterization.alpha(sigma)
    precision = 1 + (alpha / sigma) ** 2 + (GAIN / NOISE) ** 2
    return (alpha * x / sigma**2 + GAIN * y / NOISE**2) / precision


@PARAMETERIZATIONS
@pytest.mark.parametrize("covariance", ["isotropic", "difference"])
@pytest.mark.parametrize("level", [0.05, 0.5, 0.85])
def test_the_matched_form_is_the_exact_posterior_mean(parameterization, covariance, level):
    likelihood, x = _likelihood(), _x(3)
    sigma = torch.tensor(level, dtype=torch.float64)
    model = gaussian_denoiser(parameterization)

    def denoise(x):
        return model(x, sigma.expand(len(x)))

    options = GuidanceOptions(covariance=covariance)
    guided, residual = guide(denoise(x), x, sigma, parameterization, likelihood, options, denoise)
    torch.testing.assert_close(
        guided, _exact(x, sigma, parameterization, likelihood.measurement.y), rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(residual, likelihood.residual(denoise(x)))


def test_at_a_flows_first_level_the_prior_mean_becomes_the_posterior_mean():
    """At sigma = 1 the latent says nothing, so what remains is y's own posterior, a·y/(a² + s²)."""
    likelihood, x, one = _likelihood(), _x(2), torch.tensor(1.0, dtype=torch.float64)
    for covariance in ("isotropic", "difference"):
        guided, _ = guide(torch.zeros_like(x), x, one, CONST, likelihood, GuidanceOptions(covariance=covariance))
        expected = GAIN * likelihood.measurement.y / (GAIN**2 + NOISE**2)
        torch.testing.assert_close(guided, expected.expand_as(x), rtol=1e-4, atol=1e-4)


@PARAMETERIZATIONS
def test_an_ordinary_sampler_then_samples_the_posterior(parameterization):
    """200 Euler steps from noise: mean a·y/(a² + s²), variance s²/(a² + s²), per value over 4,000 particles."""
    measurement = Scale(GAIN, NOISE).measure(torch.full((1, 1, 1, 1), 1.2, dtype=torch.float64), seed=1)
    likelihood = Likelihood(measurement, Autoencoder(identity_decoder, decoding=Decoding(precision="full")))
    model = gaussian_denoiser(parameterization)
    top = 40.0 if parameterization is VE else 0.98
    sigmas = torch.linspace(math.log(top), math.log(1e-3), 200, dtype=torch.float64).exp()
    x = torch.randn(4000, 1, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * top
    for sigma, sigma_next in zip(sigmas, [*sigmas[1:], torch.zeros(())], strict=True):
        denoised = model(x, sigma.expand(len(x)))
        guided, _ = guide(denoised, x, sigma, parameterization, likelihood, GuidanceOptions())
        eps = (x - parameterization.alpha(sigma) * guided) / sigma
        x = parameterization.alpha(sigma_next) * guided + sigma_next * eps
    width = NOISE / (GAIN**2 + NOISE**2) ** 0.5
    assert x.mean().item() == pytest.approx(
        GAIN * measurement.y.item() / (GAIN**2 + NOISE**2), abs=4 * width / 4000**0.5 + 0.01
    )
    assert x.std().item() == pytest.approx(width, rel=0.05)


def test_dps_is_the_likelihood_at_the_estimate():
    likelihood, x, sigma = _likelihood(), _x(3), torch.tensor(0.8, dtype=torch.float64)
    y, denoised = likelihood.measurement.y, gaussian_denoiser(VE)(x, torch.tensor(0.8).double().expand(3))
    variance = 0.8**2 / (1 + 0.8**2)
    guided, _ = guide(denoised, x, sigma, VE, likelihood, GuidanceOptions(form="dps", weight=0.3))
    expected = denoised + 0.3 * variance * GAIN * (y - GAIN * denoised) / NOISE**2
    torch.testing.assert_close(guided, expected, rtol=1e-5, atol=1e-5)
    guided, residual = guide(denoised, x, sigma, VE, likelihood, GuidanceOptions(form="dps_normalised", weight=0.3))
    expected = denoised + 0.3 * variance * GAIN * (y - GAIN * denoised) / residual.sqrt().reshape(-1, 1, 1, 1)
    torch.testing.assert_close(guided, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_tau_and_weight_mean_what_they_say(form):
    likelihood, x, sigma = _likelihood(), _x(2), torch.tensor(0.5, dtype=torch.float64)
    plain = guide(x, x, sigma, VE, likelihood, GuidanceOptions(form=form))[0] - x
    doubled = guide(x, x, sigma, VE, likelihood, GuidanceOptions(form=form, weight=2.0))[0] - x
    torch.testing.assert_close(doubled, 2 * plain)
    loose = guide(x, x, sigma, VE, likelihood, GuidanceOptions(form=form, tau=10 * NOISE))[0] - x
    if form == "dps":
        torch.testing.assert_close(loose, plain / 100, rtol=1e-5, atol=1e-7)
    elif form == "dps_normalised":
        torch.testing.assert_close(loose, plain)
    else:
        assert loose.abs().sum() < plain.abs().sum()


@pytest.mark.parametrize("form", ["matched", "dps"])
def test_a_perfect_fit_is_left_alone(form):
    likelihood, sigma = _likelihood(), torch.tensor(0.5, dtype=torch.float64)
    exact = (likelihood.measurement.y / GAIN).expand(2, -1, -1, -1)
    guided, _ = guide(exact, exact, sigma, VE, likelihood, GuidanceOptions(form=form))
    torch.testing.assert_close(guided, exact)


@pytest.mark.parametrize("distance", [1e-2, 1.0])
def test_the_published_normalisation_takes_steps_of_one_size(distance):
    """The gradient of sqrt(L) has norm a however close y is: the step is w · variance · a."""
    likelihood, sigma = _likelihood(), torch.tensor(0.5, dtype=torch.float64)
    x = (likelihood.measurement.y / GAIN).expand(2, -1, -1, -1) + distance * _x(2)
    guided, _ = guide(x, x, sigma, VE, likelihood, GuidanceOptions(form="dps_normalised", weight=0.3))
    steps = (guided - x).flatten(1).norm(dim=1)
    torch.testing.assert_close(steps, torch.full_like(steps, 0.3 * 0.2 * GAIN), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_a_nan_particle_never_touches_another(form):
    likelihood, x, sigma = _likelihood(), _x(3), torch.tensor(0.5, dtype=torch.float64)
    alone, _ = guide(x[:2], x[:2], sigma, VE, likelihood, GuidanceOptions(form=form))
    x[2, 0, 0, 0] = math.nan
    guided, residual = guide(x, x, sigma, VE, likelihood, GuidanceOptions(form=form))
    assert torch.equal(guided[:2], alone)
    assert residual[2].isnan()


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"weight": -1.0}, "weight is -1.0"),
        ({"weight": math.nan}, "weight is nan"),
        ({"form": "best"}, "form is 'best'; choose one of matched, dps, dps_normalised"),
        ({"covariance": "full"}, "covariance is 'full'; choose one of isotropic, difference"),
        ({"tau": -0.1}, "tau is -0.1"),
        ({"micro_batch": -1}, "micro_batch is -1"),
        ({"precision": "half"}, "precision is 'half'"),
    ],
)
def test_wrong_options_get_a_sentence(setting, sentence):
    with pytest.raises(ValueError, match=sentence):
        GuidanceOptions(**setting)
