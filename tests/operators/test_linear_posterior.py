"""The posterior of pictures under linear operators: the closed form with matrices, and errors told without bias."""

import math
from dataclasses import replace

import pytest
import torch
from operator_problems import Blend, Halving, generator, picture
from sampler_lab.operators import GaussianNoise, Grey, Measurement
from sampler_lab.operators.linear_posterior import LinearPosterior
from sampler_lab.operators.posteriors import pixel_posterior

SIZE, SIGMA = (3, 4), 0.05
OPERATORS = [kind(noise=GaussianNoise(SIGMA, clip_negative=False)) for kind in (Grey, Halving, Blend)]
EVERY = pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: type(operator).__name__)
MASKED = pytest.mark.parametrize("masked", [False, True], ids=["all", "dead pixels"])


def random(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def measured(operator, truth, seed=1, masked=False, size=SIZE):
    """With noise in double precision, and the floor that belongs to it."""
    y = operator(truth)
    mask = (torch.rand(y.shape, generator=generator(9)) > 0.4).double() if masked else None
    y = y + SIGMA * random(*y.shape, seed=seed)
    return Measurement(y, operator, mask, size)


def matrix(measurement):
    """Of the operator with the dead pixels' rows 0: [values, 3 H W]."""
    pixels = 3 * math.prod(measurement.image_shape)
    basis = torch.eye(pixels, dtype=torch.float64).reshape(pixels, 3, *measurement.image_shape)
    seen = measurement.operator(basis)
    seen = seen if measurement.mask is None else seen * measurement.mask
    return seen.flatten(1).T


@EVERY
@MASKED
@pytest.mark.parametrize("even", [True, False], ids=["one variance", "each its own"])
def test_the_mean_is_the_closed_form(operator, masked, even):
    """x0 + S A^T (A S A^T + sigma² I)^-1 (y - A x0), for every row with its own S."""
    x0 = 0.2 * random(3, 3, *SIZE)
    measurement = measured(operator, 0.2 * random(1, 3, *SIZE, seed=5), masked=masked)
    posterior = pixel_posterior(measurement)
    assert isinstance(posterior, LinearPosterior)
    variance = torch.tensor([1e-4, 0.01, 0.3], dtype=torch.float64).reshape(3, 1, 1, 1).expand(3, 1, *SIZE)
    if not even:
        variance = variance * torch.rand(3, 1, *SIZE, generator=generator(3), dtype=torch.float64)
        variance[:, :, 1, 1] = 0
    found = posterior.mean(x0, posterior.error(x0), variance, 1)
    a, y = matrix(measurement), measurement.y.flatten()
    for row in range(3):
        s = torch.diag(variance[row].expand(3, -1, -1).flatten())
        gain = s @ a.T @ torch.linalg.inv(a @ s @ a.T + SIGMA**2 * torch.eye(len(a), dtype=torch.float64))
        x = x0[row].flatten() + gain @ (y - a @ x0[row].flatten())
        assert x.abs().max() < 1
        torch.testing.assert_close(found[row].flatten(), x, rtol=0, atol=1e-5)
    assert even or torch.equal(found[:, :, 1, 1], x0[:, :, 1, 1])


@EVERY
@MASKED
def test_the_errors_variance_is_unbiased(operator, masked):
    """By Monte Carlo over errors and noise. The squared norm, of 32 probes, is known to a few per cent."""
    size, s = (12, 10), 0.1
    truth = 0.3 * random(1, 3, *size, seed=5)
    found = []
    for seed in range(40):
        measurement = measured(operator, truth, seed=seed, masked=masked, size=size)
        x0 = truth + s * random(8, 3, *size, seed=1000 + seed)
        found.append(LinearPosterior(measurement, operator).error(x0).variance)
    found = torch.cat(found)
    interval = 4.5 * float(found.std()) / math.sqrt(len(found))
    assert interval < 0.1 * s**2
    assert float(found.mean()) == pytest.approx(s**2, abs=interval + 0.05 * s**2)


@EVERY
def test_errors_below_the_noise_are_not_believed_in(operator):
    """A picture that fits the noise itself has a misfit below the floor."""
    truth = picture(1, 12, 10, dtype=torch.float64)
    posterior = pixel_posterior(Measurement(operator(truth), operator, image_shape=(12, 10)))
    assert posterior.noise_variance == pytest.approx(SIGMA**2)
    assert float(posterior.error(truth).variance) == pytest.approx(0.008 * SIGMA**2)


@EVERY
@MASKED
def test_a_picture_near_the_truth_moves_nearer_to_it(operator, masked):
    truth = 0.5 * picture(1, 24, 24)
    measurement = measured(operator, truth, masked=masked, size=(24, 24)).to("cpu", torch.float32)
    near = truth + 0.2 * torch.randn(3, 3, 24, 24, generator=generator(2))
    posterior = pixel_posterior(measurement)
    error = posterior.error(near)
    after = posterior.mean(near, error, error.variance.reshape(-1, 1, 1, 1).expand(-1, 1, 24, 24), 1)
    before, now = ((x - truth).square().flatten(1).mean(1) for x in (near, after))
    assert bool((now < before).all())
    assert after.dtype == torch.float32


@EVERY
@pytest.mark.parametrize("even", [True, False], ids=["one variance", "each its own"])
def test_rows_know_nothing_of_each_other(operator, even):
    measurement = measured(operator, picture(1, 12, 10, dtype=torch.float64), size=(12, 10))
    posterior, x0 = pixel_posterior(measurement), picture(3, 12, 10, seed=3, dtype=torch.float64)
    variance = torch.tensor([1e-4, 0.01, 0.3]).reshape(3, 1, 1, 1) * torch.ones(3, 1, 12, 10, dtype=torch.float64)
    if not even:
        variance = variance * torch.rand(3, 1, 12, 10, generator=generator(3), dtype=torch.float64)
    together = posterior.mean(x0, posterior.error(x0), variance, 1)
    for k in range(3):
        row = x0[k : k + 1]
        alone = posterior.mean(row, posterior.error(row), variance[k : k + 1], 1)
        torch.testing.assert_close(together[k : k + 1], alone, rtol=0, atol=1e-5)
    broken = x0.clone()
    broken[1, 0, 2, 2] = math.nan
    error = posterior.error(broken)
    assert error.variance.isnan().tolist() == [False, True, False]
    variance = variance.clone()
    variance[1] = math.nan
    found = posterior.mean(broken, error, variance, 1)
    torch.testing.assert_close(found[[0, 2]], together[[0, 2]], rtol=0, atol=1e-5)


def test_it_stays_in_the_range_of_images():
    bright = replace(Grey(), noise=GaussianNoise(SIGMA, clip_negative=False))
    posterior = pixel_posterior(measured(bright, torch.full((1, 3, 4, 4), 0.99, dtype=torch.float64), size=(4, 4)))
    x0 = torch.full((1, 3, 4, 4), 0.5, dtype=torch.float64)
    x0[:, 0] = 0.95
    found = posterior.mean(x0, posterior.error(x0), torch.ones(1, 1, 4, 4, dtype=torch.float64), 1)
    assert float(found.max()) == 1


def test_without_noise_the_measurement_is_explained():
    exact, truth = replace(Grey(), noise=GaussianNoise(0.0, clip_negative=False)), 0.5 * picture(1, 8, 8)
    measurement = exact.measure(truth, 0)
    posterior, x0 = pixel_posterior(measurement), 0.5 * picture(2, 8, 8, seed=3)
    error = posterior.error(x0)
    found = posterior.mean(x0, error, error.variance.reshape(-1, 1, 1, 1).expand(-1, 1, 8, 8), 1)
    assert bool((measurement.residual(found) < 1e-8).all())


def test_it_works_where_comfyui_runs_nodes():
    with torch.inference_mode():
        measurement = OPERATORS[2].measure(picture(1, 8, 8), 0)
        posterior, x0 = pixel_posterior(measurement), picture(2, 8, 8, seed=3)
        variance = torch.rand(2, 1, 8, 8, generator=generator())
        found = posterior.mean(x0, posterior.error(x0), variance, 1)
    assert bool((measurement.residual(found) < measurement.residual(x0)).all())
