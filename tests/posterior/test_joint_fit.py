"""The joint fit: its gradient against finite differences of what it minimises, its Adam, and its socket's contract."""

import math
from dataclasses import replace

import pytest
import torch
from one_level import level_at
from operator_problems import Blend
from pixel_problems import (
    Asking,
    decoder,
    encoder,
    grey,
    latents,
    likelihood_of,
    normal,
    noted,
    particles_of,
    phaseless,
    run,
    step,
    truth,
)
from sampler_lab.diffusion.observer import Observer
from sampler_lab.diffusion.parameterization import CONST, VE
from sampler_lab.instruments.calls import Calls
from sampler_lab.operators import GaussianNoise, Grey, Measurement
from sampler_lab.operators.half_spectrum import HalfSpectrum
from sampler_lab.operators.pixel_posterior import PixelPosterior
from sampler_lab.operators.soft_phases import soft_error_reduction, solve
from sampler_lab.posterior.autoencoder import Autoencoder
from sampler_lab.posterior.data_steps.joint_fit import JointFit
from sampler_lab.posterior.data_steps.pixel import pixel_variance
from sampler_lab.posterior.decoding import Decoding
from sampler_lab.posterior.estimates.tweedie import Tweedie
from sampler_lab.posterior.likelihood import Likelihood
from sampler_lab.posterior.method import Method

FULL = Decoding(precision="full")
FIT = JointFit(steps=4)
MEASUREMENTS = {
    "phase retrieval": phaseless(),
    "-1..1": phaseless(signal_range="-1..1"),
    "grey phase retrieval": phaseless(channels="mean"),
    "grey": grey(),
}
EVERY = pytest.mark.parametrize("measurement", MEASUREMENTS.values(), ids=MEASUREMENTS)


def method(**options):
    return Method(Tweedie(), replace(FIT, **options), decoding=FULL)


# -- the gradient ------------------------------------------------------------------------------------------------------


class Recorded(Autoencoder):
    """In double precision; every latent that is decoded backwards is kept, with its gradient."""

    def decode_chunk(self, z, precisely=False):
        return self.decoder(z)

    def pull_back(self, z, cotangent):
        images, gradient = super().pull_back(z, cotangent)
        self.seen.append((z, gradient))
        return images, gradient


def fitted(part, z, measurement, sigma=0.5):
    """The latents; and of every step: the latents there, the gradient, the picture's posterior mean."""
    likelihood = Likelihood(measurement, Recorded(decoder, None, FULL))
    likelihood.autoencoder.seen = []
    witness = likelihood.of_pixels = Witness(likelihood.of_pixels)
    found = part(particles_of(z), z, level_at(likelihood, sigma))
    return found, [(*seen, mean) for seen, mean in zip(likelihood.autoencoder.seen, witness.means, strict=True)]


class Witness(PixelPosterior):
    """Passes on what it is asked, and writes down what it was."""

    def __init__(self, inner):
        self.inner, self.noise_variance, self.asked, self.means = inner, inner.noise_variance, [], []

    def error(self, x0, by_band=True):
        self.asked.append(("error", by_band))
        return self.inner.error(x0, by_band)

    def mean(self, x0, error, variance, iterations, start=None, momentum=True):
        self.asked.append((iterations, error, variance, start, momentum))
        self.means.append(self.inner.mean(x0, error, variance, iterations, start, momentum))
        return self.means[-1]


class Eliminated:
    """-log p(y | z) of phase retrieval with the remainder eliminated, v and s² those of the first picture.

    J of ``soft_phases.py``, minimised over the object u.
    """

    def __init__(self, measurement, images, part):
        self.operator, noise = measurement.operator, measurement.operator.noise.noise_sigma**2
        error = Likelihood(measurement, Autoencoder(decoder)).of_pixels.error(images)
        share = 0.25 if self.operator.signal_range == "0..1" else 1.0  # of the object's variance in the image's
        share = share / 3 if self.operator.channels == "mean" else share
        self.data, self.v, self.noise = HalfSpectrum.of(measurement, measurement.y), error.v, noise
        self.variance = share * pixel_variance(images, error.variance, part.spread, part.flat_share)
        self.limits = (0.0, 1.0) if self.operator.signal_range == "0..1" else (-1.0, 1.0)

    def __call__(self, z, near):
        """``[N]``; the minimum that is ``near`` this picture: there may be others."""
        u0, d = self.operator.object(decoder(z)), self.data

        def expected(u):
            return soft_error_reduction(u, d, self.v)

        weight = self.noise / self.variance
        u = solve(expected, u0, weight, self.limits, 150, self.operator.object(near), momentum=False)
        amplitude = d.transform(u).abs()
        kappa = 2 * d.mean * amplitude / self.v
        fit = amplitude.square() - self.v * (torch.special.i0e(kappa).log() + kappa)
        fit = (d.copies * d.recorded / 2 * fit).sum((1, 2, 3)) / (2 * self.noise)
        return fit + ((u - u0).square() / (2 * self.variance)).sum((1, 2, 3))


def bessel_ratio(kappa):
    return torch.special.i1e(kappa) / torch.special.i0e(kappa)


@pytest.mark.parametrize(
    "settings", [{}, {"signal_range": "-1..1"}, {"channels": "mean"}, {"detector": (13, 15)}], ids=str
)
@pytest.mark.parametrize(("masked", "trust"), [(False, "exact"), (True, "exact"), (False, "approximate")])
def test_the_gradient_by_finite_differences(monkeypatch, settings, masked, trust):
    """With the remainder solved for to the end, at the first latent and at those the fit comes to."""
    if trust == "exact":
        monkeypatch.setattr("sampler_lab.operators.soft_phases.phase_trust", bessel_ratio)
    measurement = phaseless(dtype=torch.float64, **settings)
    if masked:
        valid = torch.rand(measurement.y.shape, generator=torch.Generator().manual_seed(1)) > 0.3
        measurement = Measurement(measurement.y, measurement.operator, valid, measurement.image_shape)
    z, h = encoder(truth(torch.float64)) + 0.15 * latents(2, dtype=torch.float64), 1e-4
    part = JointFit(steps=2, start_iterations=250, iterations=250, learning_rate=0.05, spread=0.3, flat_share=0.5)
    _, seen = fitted(part, z, measurement)
    assert len(seen) == 2
    objective = Eliminated(measurement, decoder(z), part)
    direction = normal(*z.shape, seed=2, dtype=torch.float64)
    for at, gradient, mean in seen:
        slope = (objective(at + h * direction, mean) - objective(at - h * direction, mean)) / (2 * h)
        along = (gradient * direction).sum((1, 2, 3))
        off = (slope - along).abs() / gradient.flatten(1).norm(dim=1)
        assert float(off.max()) < (1e-6 if trust == "exact" else 0.01)


@pytest.mark.parametrize("operator", [Grey, Blend], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("flat_share", [1.0, 0.05])
def test_the_gradient_under_a_linear_operator_is_that_of_the_marginal(operator, flat_share):
    """-log N(y; A dec(z), sigma² I + A S A^T), by automatic differentiation through matrices."""
    sigma = 0.05
    measurement = operator(noise=GaussianNoise(sigma, clip_negative=False)).measure(truth(torch.float64), 3)
    measurement = measurement.to("cpu", torch.float64)
    z, part = latents(2, dtype=torch.float64), JointFit(steps=2, flat_share=flat_share)
    _, seen = fitted(part, z, measurement)
    posterior = Likelihood(measurement, Autoencoder(decoder)).of_pixels
    images = decoder(z)
    variance = pixel_variance(images, posterior.error(images).variance, 1.0, flat_share).expand(2, 1, 8, 8)
    a = measurement.operator(torch.eye(192, dtype=torch.float64).reshape(192, 3, 8, 8)).flatten(1).T
    for at, gradient, _ in seen:
        for row in range(2):
            covariance = a @ torch.diag(variance[row].expand(3, -1, -1).flatten()) @ a.T
            covariance = covariance + posterior.noise_variance * torch.eye(len(a), dtype=torch.float64)
            leaf = at[row : row + 1].clone().requires_grad_(True)
            misfit = measurement.y.flatten() - a @ decoder(leaf).flatten()
            (expected,) = torch.autograd.grad(0.5 * misfit @ torch.linalg.solve(covariance, misfit), leaf)
            torch.testing.assert_close(gradient[row], expected[0], rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_it_is_adam_on_the_likelihood_and_the_prior():
    """Against torch's own optimiser on the closed form; r² = sigma²/(1 + sigma²), the step a share of sigma."""
    noise, sigma = 0.05, 0.5
    measurement = Grey(noise=GaussianNoise(noise, clip_negative=False)).measure(truth(torch.float64), 3)
    measurement = measurement.to("cpu", torch.float64)
    z, part = latents(2, dtype=torch.float64), JointFit(steps=12, learning_rate=0.1, flat_share=1.0, weight=0.7)
    found, _ = fitted(part, z, measurement, sigma=sigma)
    posterior = Likelihood(measurement, Autoencoder(decoder)).of_pixels
    s_square = posterior.error(decoder(z)).variance
    parameter = torch.nn.Parameter(z.clone())
    adam = torch.optim.Adam([parameter], lr=0.1 * sigma, betas=(0.9, 0.99), eps=1e-8)
    for _ in range(12):
        adam.zero_grad()
        spread = posterior.noise_variance + s_square / 3  # of the mean of three channels
        fit = measurement.residual(decoder(parameter)) / (2 * spread)
        prior = (parameter - z).square().sum((1, 2, 3)) * (1 + sigma**2) / (2 * sigma**2)
        (0.7 * fit + prior).sum().backward()
        adam.step()
    torch.testing.assert_close(found, parameter.detach(), rtol=0, atol=1e-6)
    assert (found - z).abs().max() > 0.1


def test_v_and_s_are_those_of_the_first_picture_and_the_remainder_goes_on_from_where_it_was():
    likelihood = likelihood_of(phaseless())
    witness = likelihood.of_pixels = Witness(likelihood.of_pixels)
    z = latents()
    JointFit(steps=3, iterations=2, start_iterations=5)(particles_of(z), z, level_at(likelihood, 0.3))
    first, *means = witness.asked
    assert first == ("error", True)
    assert [asked[0] for asked in means] == [5, 2, 2]
    assert all(asked[1] is means[0][1] and asked[2] is means[0][2] for asked in means)
    assert means[0][3] is None
    assert all(asked[3] is not None for asked in means[1:])
    assert not any(asked[4] for asked in means)


def test_no_number_moves_farther_than_its_share_of_the_level():
    z, sigma = latents(), 0.3
    for steps in (1, 5):
        found, _ = step(JointFit(steps=steps, learning_rate=0.2), z, phaseless(), sigma=sigma)
        assert float((found - z).abs().max()) <= steps * 0.2 * sigma * 1.01
        assert float((found - z).abs().max()) > 0.5 * 0.2 * sigma


@EVERY
def test_it_explains_the_measurement_better_and_leaves_what_it_saw(measurement):
    z = encoder(truth()) + 0.2 * latents()
    found, level = step(JointFit(steps=12), z, measurement)
    assert bool((measurement.residual(decoder(found)) < measurement.residual(decoder(z))).all())
    assert level.seen.images.shape == (4, 3, 8, 8)
    torch.testing.assert_close(level.seen.residual, measurement.residual(level.seen.images))
    _, level = step(JointFit(steps=1), z, measurement)
    torch.testing.assert_close(level.seen.images, decoder(z))


def test_without_a_remainder_the_latent_overfits():
    """Pictures with a remainder that no latent draws. Fitted alone (a remainder of next to no variance) the residual
    falls lower, and the latent ends farther from the truth's."""
    operator = Grey(noise=GaussianNoise(0.02, clip_negative=False))
    best = latents(1, 7)
    wrong, residual = [], []
    for spread in (1.0, 1e-4):
        ends, fits = [], []
        for seed in range(4):
            picture = decoder(best) + 0.15 * normal(1, 3, 8, 8, seed=seed)
            measurement = operator.measure(picture, seed)
            part = JointFit(steps=80, learning_rate=0.05, spread=spread, flat_share=1.0)
            found, _ = step(part, best + 0.2 * latents(2, 3 + seed), measurement, sigma=0.3)
            ends.append((found - best).square().mean())
            fits.append(measurement.residual(decoder(found)).mean())
        wrong.append(float(sum(ends)))
        residual.append(float(sum(fits)))
    assert wrong[0] < wrong[1]
    assert residual[0] > residual[1]


# -- the contract ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("off", [{"weight": 0.0}, {"steps": 0}])
def test_off_it_is_the_prior_to_the_bit(off):
    def never(_):
        raise AssertionError("called")

    class Prior(JointFit):
        def __call__(self, particles, z0_hat, level):
            return z0_hat

    calls = Calls()
    found = run(method(**off), phaseless(), decoder=never, encoder=None, observer=calls)
    assert torch.equal(found, run(replace(method(), data_step=Prior()), phaseless()))
    assert calls == Calls(denoiser=4 * 6)
    z = latents()
    assert step(replace(FIT, **off), z, phaseless(), decode=never)[0] is z
    assert not replace(FIT, **off).is_active


def test_the_weight_multiplies():
    assert FIT.weighted(0.5).weighted(0.5) == replace(FIT, weight=0.25)
    assert FIT.weighted(1.0) is FIT
    assert not FIT.weighted(0.0).is_active


@EVERY
def test_every_pass_is_counted_and_no_encoder_is_asked_for(measurement):
    calls = Calls()
    run(method(), measurement, observer=calls, encoder=None)
    assert calls == Calls(denoiser=24, decoder_forward=24 * 4, decoder_backward=24 * 4)


@EVERY
def test_micro_batches_change_nothing_but_rounding(measurement):
    z = encoder(truth()) + 0.2 * latents()
    together, level = step(FIT, z, measurement)
    for size in (1, 3):
        found, parts = step(FIT, z, measurement, micro_batch=size)
        torch.testing.assert_close(found, together, rtol=0, atol=1e-4)
        torch.testing.assert_close(parts.seen.residual, level.seen.residual, rtol=1e-3, atol=1e-3)


@EVERY
def test_ve_and_flow_give_the_same_result(measurement):
    found = [run(method(), measurement, kind) for kind in (VE, CONST)]
    torch.testing.assert_close(*found, rtol=0, atol=1e-4)


@EVERY
def test_a_particle_that_is_nan_stays_alone(measurement):
    x = 20 * latents(4, 2)
    whole = run(method(), measurement, x=x)
    x[1, 0, 0, 0] = math.nan
    found = run(method(), measurement, x=x)
    assert bool(found[1].isnan().any())
    torch.testing.assert_close(found[[0, 2, 3]], whole[[0, 2, 3]], rtol=0, atol=1e-4)


@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("micro_batch", [0, 1, 3])
def test_what_is_given_never_moves_not_even_on_the_way(rows, micro_batch):
    mask = (torch.rand(rows, 1, 4, 4, generator=torch.Generator().manual_seed(2)) > 0.5).float()
    z, decoded = latents(), []

    def keeping(at):
        decoded.append(at.detach().clone())
        return decoder(at)

    found, _ = step(FIT, z, phaseless(), mask=mask, decode=keeping, micro_batch=micro_batch)
    kept = (mask == 0).expand_as(z)
    assert torch.equal(found[kept], z[kept])
    assert not torch.equal(found[~kept], z[~kept])
    chunks = [z] if micro_batch == 0 else z.split(micro_batch)
    kepts = [kept] if micro_batch == 0 else kept.split(micro_batch)
    assert len(decoded) == 4 * len(chunks)
    for k, at in enumerate(decoded):
        chunk = k // 4  # four steps of one chunk, then those of the next
        assert torch.equal(at[kepts[chunk]], chunks[chunk][kepts[chunk]])


def test_a_run_asks_before_every_step_and_every_iteration():
    events = []

    def go(last=math.inf):
        events.clear()
        part = JointFit(steps=2, start_iterations=3, iterations=2)
        pair = {"decoder": noted(events, "decode", decoder), "observer": Asking(events, last)}
        run(Method(Tweedie(), part, decoding=FULL), phaseless(), steps=2, **pair)

    go()
    once = ["asked", "asked", "decode", *["asked"] * 3, "asked", "decode", *["asked"] * 2]
    assert events == 2 * once
    for last in range(1, 2 * once.count("asked") + 1):
        with pytest.raises(InterruptedError):
            go(last)
        assert events.count("asked") == last
        assert events[-1] == "asked"


def test_a_flow_that_starts_in_pure_noise_stays_finite():
    """sigma = 1 is sigma_ve = infinity, of which no share is a step."""
    z = latents()
    assert bool(step(FIT, z, phaseless(), sigma=math.inf)[0].isfinite().all())


@EVERY
@pytest.mark.parametrize("flat_share", [0.0, 1.0])
def test_flat_pictures_stay_finite(measurement, flat_share):
    """One without any edge, and one that is flat but for a corner: without a flat share nothing is wrong there."""
    z = torch.zeros(2, 3, 4, 4)
    z[1, :, 0, 0] = 1.0
    found, _ = step(replace(FIT, flat_share=flat_share), z, measurement)
    assert bool(found.isfinite().all())


def test_it_works_where_comfyui_runs_nodes():
    for measurement in (phaseless(), grey()):
        with torch.inference_mode():
            inside = run(method(), measurement)
        torch.testing.assert_close(run(method(), measurement), inside)


def test_its_phase_is_its_own():
    phases = []

    class Phases(Observer):
        def enter(self, phase):
            phases.append(phase)

    run(method(), phaseless(), steps=2, observer=Phases())
    assert phases == ["explore", "fit"] * 2
