"""Both chains against their exact stationary distribution on a linear Gaussian problem."""

import math
from dataclasses import replace

import pytest
import torch
from linear_problem import Scale, identity_decoder
from one_level import run_chain
from sampler_lab.diffusion.observer import SILENT, Observer, Observers
from sampler_lab.diffusion.particle_noise import ParticleNoise
from sampler_lab.instruments.calls import Calls
from sampler_lab.operators import Measurement
from sampler_lab.posterior.autoencoder import Autoencoder
from sampler_lab.posterior.data_steps.chain import prior_width
from sampler_lab.posterior.data_steps.hmc import HMC
from sampler_lab.posterior.data_steps.langevin import Langevin
from sampler_lab.posterior.decoding import Decoding
from sampler_lab.posterior.likelihood import Likelihood

Y = torch.tensor([[[[1.0, -0.5], [0.0, 2.0]]]])


def likelihood(gain=1.0, decoder=identity_decoder, micro_batch=0, observer=SILENT):
    return Likelihood(Measurement(Y, Scale(gain)), Autoencoder(decoder, None, Decoding(micro_batch), observer))


@pytest.mark.parametrize(
    "options",
    [
        Langevin(steps=400, step_size=0.01, tau=0.45),
        HMC(steps=400, step_size=0.002, tau=0.45, momentum=0.6),
    ],
    ids=lambda o: o.name,
)
def test_stationary_distribution(options):
    width, gain, n = 0.7, 1.3, 4000
    z0_hat = torch.zeros(n, 1, 2, 2)
    z, _ = run_chain(z0_hat, likelihood(gain), width, options, ParticleNoise(3))
    # log p = -(gain·z - y)²/(2 tau²) - z²/(2 width²)
    precision = gain**2 / options.tau**2 + 1 / width**2
    mean, std = gain * Y[0] / options.tau**2 / precision, precision**-0.5
    error = z.mean(0) - mean
    assert error.abs().max() < 4.5 * std / math.sqrt(n)  # 4 values: false alarm below 1 in 30,000
    # An unadjusted chain's variance is off by a share of step_size · precision; the rest is sampling error.
    assert z.std(0).div(std).sub(1).abs().max() < 0.02 + options.step_size * precision


def test_the_chain_needs_no_gradient_mode_from_its_caller():
    options = Langevin(steps=2, step_size=0.01, tau=1.0)
    expected, _ = run_chain(torch.zeros(2, 1, 2, 2), likelihood(), 1.0, options, ParticleNoise(0))
    with torch.inference_mode():
        z, _ = run_chain(torch.zeros(2, 1, 2, 2), likelihood(), 1.0, options, ParticleNoise(0))
    assert torch.equal(z, expected)


def test_gradient_is_the_finite_difference_of_the_residual():
    def decoder(z):
        return torch.sin(z) + 0.1 * z**2

    like = likelihood(0.8, decoder)
    z = torch.randn(3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    residual, gradient = like.residual_and_gradient(z)
    torch.testing.assert_close(residual, like.residual(z))
    direction = torch.randn(z.shape, generator=torch.Generator().manual_seed(1))
    h = 1e-3
    slope = (like.residual(z + h * direction) - like.residual(z - h * direction)) / (2 * h)
    torch.testing.assert_close((gradient * direction).flatten(1).sum(1), slope, rtol=1e-3, atol=1e-3)


def test_micro_batches_change_nothing_but_are_counted_the_same():
    z = torch.randn(5, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    all_at_once, in_pieces = Calls(), Calls()
    whole, pieces = likelihood(observer=all_at_once), likelihood(micro_batch=2, observer=in_pieces)
    for a, b in zip(whole.residual_and_gradient(z), pieces.residual_and_gradient(z), strict=True):
        assert torch.equal(a, b)
    assert all_at_once == in_pieces == Calls(decoder_forward=5, decoder_backward=5)


def test_a_clamped_gradient_moves_no_faster_than_the_clamp():
    options = Langevin(steps=1, step_size=1e-4, tau=0.01, gradient_clamp=0.25)
    z0_hat = torch.full((1, 1, 2, 2), 50.0)
    quiet = torch.zeros_like
    z, _ = run_chain(z0_hat, likelihood(), 1.0, options, quiet)
    torch.testing.assert_close(z0_hat - z, torch.full_like(z, 1e-4 * 0.25 / (2 * 0.01**2)))


@pytest.mark.parametrize("kind", [Langevin, HMC])
def test_masked_values_do_not_move(kind):
    mask = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    options = kind(steps=5, step_size=0.01, tau=0.5)
    z0_hat = torch.randn(3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    z, _ = run_chain(z0_hat, likelihood(), 1.0, options, ParticleNoise(0), mask=mask)
    moved = z != z0_hat
    assert torch.equal(moved, mask.bool().expand_as(moved))


@pytest.mark.parametrize("kind", [Langevin, HMC])
def test_a_particle_that_breaks_stays_alone(kind):
    def decoder(z):
        rows = (z > 100).flatten(1).any(1).reshape(-1, 1, 1, 1)
        return z * torch.ones_like(z[:, :1, :1, :1]).masked_fill(rows, math.nan)

    options = kind(steps=5, step_size=0.01, tau=0.5)
    z0_hat = torch.randn(3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    broken = z0_hat.clone()
    broken[1] = 1000.0
    good, none_failed = run_chain(z0_hat, likelihood(decoder=decoder), 1.0, options, ParticleNoise(0))
    z, failed = run_chain(broken, likelihood(decoder=decoder), 1.0, options, ParticleNoise(0))
    assert failed.tolist() == [False, True, False]
    assert not none_failed.any()
    assert torch.equal(z[[0, 2]], good[[0, 2]])
    assert torch.equal(z[1], broken[1])


def test_cancel_arrives_before_the_next_iteration():
    seen = []

    class Cancel(Observer):
        def raise_if_cancelled(self):
            seen.append(None)
            if len(seen) == 3:
                raise KeyboardInterrupt

    calls = Calls()
    options = Langevin(steps=10, step_size=0.01, tau=0.5)
    with pytest.raises(KeyboardInterrupt):
        run_chain(
            torch.zeros(1, 1, 2, 2), likelihood(observer=calls), 1.0, options, ParticleNoise(0),
            observer=Observers(calls, Cancel()),
        )  # fmt: skip
    assert calls.decoder_forward == 2


def test_prior_width():
    assert prior_width(3.0, "sigma") == 3.0
    assert prior_width(3.0, "capped") == pytest.approx(math.sqrt(9 / 10))
    assert prior_width(math.inf, "capped") == 1.0


def test_step_size_falls_linearly_as_published():
    options = Langevin(step_size=2.0, step_size_end=0.5)
    assert options.step_size_at(0, 3) == 2.0
    assert options.step_size_at(2, 3) == pytest.approx(2.0 * (1 - 0.5 * 2 / 4))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"steps": -1}, "steps"),
        ({"step_size": 0.0}, "step_size"),
        ({"tau": 0.0}, "tau"),
        ({"momentum": 1.0}, "momentum"),
        ({"prior_width": "wide"}, "prior_width"),
        ({"weight": -1.0}, "weight"),
    ],
)
def test_bad_options_are_named(change, word):
    with pytest.raises(ValueError, match=word):
        replace(HMC(), **change)
