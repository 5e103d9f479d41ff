"""The data step in pixels: its formula, what an autoencoder's faults do to it, and the contract of its socket."""

import math
from dataclasses import replace

import pytest
import torch
from pixel_problems import (
    Asking,
    decoder,
    encoder,
    grey,
    latents,
    likelihood_of,
    normal,
    noted,
    phaseless,
    run,
    step,
    truth,
)
from sampler_lab.diffusion.observer import Observer
from sampler_lab.diffusion.parameterization import CONST, VE
from sampler_lab.instruments.calls import Calls
from sampler_lab.operators import GaussianNoise, Grey
from sampler_lab.posterior.autoencoder import Autoencoder
from sampler_lab.posterior.data_steps.pixel import PixelStep, pixel_variance
from sampler_lab.posterior.decoding import Decoding
from sampler_lab.posterior.estimates.tweedie import Tweedie
from sampler_lab.posterior.level import anneal
from sampler_lab.posterior.likelihood import Likelihood
from sampler_lab.posterior.loop import sample_posterior
from sampler_lab.posterior.method import Method
from sampler_lab.posterior.particles import Denoiser, Particles
from sampler_lab.schedulers import poly_rho

FULL = Decoding(precision="full")
STEP = PixelStep()
MEASUREMENTS = {
    "phase retrieval": phaseless(),
    "-1..1": phaseless(signal_range="-1..1"),
    "grey phase retrieval": phaseless(channels="mean"),
    "grey": grey(),
}
EVERY = pytest.mark.parametrize("measurement", MEASUREMENTS.values(), ids=MEASUREMENTS)


def method(**options):
    return Method(Tweedie(), replace(STEP, **options), decoding=FULL)


# -- what it computes --------------------------------------------------------------------------------------------------


@EVERY
def test_it_is_the_three_lines_of_its_docstring(measurement):
    z, part = latents(), PixelStep(iterations=5, spread=1.7, flat_share=0.4, feedback=0.6)
    found, level = step(part, z, measurement)
    posterior = likelihood_of(measurement).of_pixels
    u0 = decoder(z)
    error = posterior.error(u0)
    u = posterior.mean(u0, error, pixel_variance(u0, error.variance, 1.7, 0.4), 5)
    torch.testing.assert_close(found, z + 1.6 * (encoder(u) - encoder(u0)))
    torch.testing.assert_close(level.seen.images, u0)
    torch.testing.assert_close(level.seen.residual, measurement.residual(u0))


@EVERY
def test_the_measurement_is_explained_better(measurement):
    """Latents near the truth's, as an estimate has them late in a run."""
    z = encoder(truth()) + 0.2 * latents()
    found, _ = step(PixelStep(feedback=0.0), z, measurement, sigma=0.2)
    assert bool((measurement.residual(decoder(found)) < measurement.residual(decoder(z))).all())


def test_what_an_autoencoder_loses_at_every_pass_is_not_lost():
    """Where nothing is corrected nothing changes, although enc(dec(z)) is not z at all."""
    z, timid = latents(), PixelStep(spread=1e-12)

    def lossy(images):
        return 0.6 * encoder(images) + 0.3

    found, _ = step(timid, z, phaseless(), encode=lossy)
    torch.testing.assert_close(found, z, rtol=0, atol=1e-5)
    assert (lossy(decoder(z)) - z).abs().max() > 0.3


def test_feedback_makes_up_for_an_encoder_that_answers_with_half():
    z = latents()
    exact, _ = step(PixelStep(feedback=0.0), z, phaseless())
    halved, _ = step(PixelStep(feedback=1.0), z, phaseless(), encode=lambda images: 0.5 * encoder(images) + 0.2)
    torch.testing.assert_close(halved, exact, rtol=0, atol=1e-5)


def test_flat_areas_stay_where_errors_follow_edges():
    """flat_share 0: the right half of these pictures is flat, and nothing there is wrong."""
    z = latents()
    z[..., 1:] = z[..., 1:2, 1:2].mean((0, 1, 2, 3))
    likelihood = likelihood_of(phaseless())
    moved = replace(STEP, flat_share=0.0).corrected(decoder(z).repeat(1, 1, 3, 3)[..., :8, :8], likelihood)
    assert bool(moved.isfinite().all())
    flat = torch.zeros(2, 3, 8, 8)
    flat[..., :1] = 0.5
    change = replace(STEP, flat_share=0.0).corrected(flat, likelihood) - flat
    assert change[..., 5:].abs().max() < 1e-6 < 1e-2 < change[..., :4].abs().max()


@EVERY
def test_the_weight_divides_the_noise_that_is_believed_in(measurement):
    z = latents()
    light, _ = step(STEP.weighted(0.5).weighted(0.5), z, measurement)
    torch.testing.assert_close(light, step(replace(STEP, spread=STEP.spread / 4), z, measurement)[0])
    assert STEP.weighted(1.0) is STEP
    assert (light - z).norm() < (step(STEP, z, measurement)[0] - z).norm()


# -- the contract ------------------------------------------------------------------------------------------------------


def test_weight_zero_is_the_prior_to_the_bit():
    """Nothing is decoded, encoded or counted, and an encoder is not missed."""

    def never(_):
        raise AssertionError("called")

    class Prior(PixelStep):
        def __call__(self, particles, z0_hat, level):
            return z0_hat

    calls = Calls()
    found = run(method(weight=0.0), phaseless(), decoder=never, encoder=None, observer=calls)
    assert torch.equal(found, run(replace(method(), data_step=Prior()), phaseless()))
    assert calls == Calls(denoiser=4 * 6)
    assert not replace(STEP, weight=0.0).is_active
    z = latents()
    same, level = step(STEP.weighted(0.0), z, phaseless(), decode=never)
    assert same is z
    assert level.seen is None


@EVERY
def test_every_pass_is_counted(measurement):
    calls = Calls()
    run(method(), measurement, observer=calls)
    assert calls == Calls(denoiser=24, decoder_forward=24, encoder=48)


def test_who_listens_costs_no_decoding_but_for_the_result():
    class Listening(Calls):
        listens = True

    calls = Listening()
    run(method(), phaseless(), observer=calls)
    assert calls == Listening(denoiser=24, decoder_forward=24 + 4, encoder=48)


def test_the_last_pictures_that_are_seen_are_the_result():
    seen = []

    class Watching(Observer):
        listens = True

        def images(self, particles, images):
            seen.append(images.clone())

        def step(self, i, sigma, phase=None, **facts):
            if "residual" in facts:
                residuals.append(facts["residual"])

    residuals = []
    measurement = phaseless()
    z = run(method(), measurement, observer=Watching())
    assert len(seen) == len(residuals) == 6
    torch.testing.assert_close(seen[-1], decoder(z))
    torch.testing.assert_close(torch.tensor(residuals[-1]), measurement.residual(decoder(z)), rtol=1e-4, atol=1e-5)


def test_a_level_that_is_over_keeps_no_pictures():
    likelihood = likelihood_of(phaseless())
    levels = anneal(poly_rho(4, 0.05, 20.0), VE, likelihood)
    held = []
    particles = Particles(20 * latents(), Denoiser(lambda x, sigma, **_: x / (1 + sigma.reshape(-1, 1, 1, 1) ** 2)))
    sample_posterior(particles, levels, method(), callback=lambda step: held.append(levels[step["i"]].seen))
    assert all(seen is not None for seen in held)
    assert all(level.seen is None for level in levels)


@EVERY
def test_micro_batches_change_nothing_but_rounding(measurement):
    z = latents()
    together, _ = step(STEP, z, measurement)
    for size in (1, 3):
        torch.testing.assert_close(step(STEP, z, measurement, micro_batch=size)[0], together, rtol=0, atol=1e-4)


@EVERY
def test_ve_and_flow_give_the_same_result(measurement):
    found = [run(method(feedback=0.0), measurement, kind) for kind in (VE, CONST)]
    torch.testing.assert_close(*found, rtol=0, atol=1e-4)


def test_a_particle_does_not_depend_on_its_neighbours():
    together = run(method(), phaseless())
    torch.testing.assert_close(run(method(), phaseless(), n=1), together[:1], rtol=0, atol=1e-3)


@EVERY
def test_a_particle_that_is_nan_stays_alone(measurement):
    x = 20 * latents(4, 2)
    whole = run(method(), measurement, x=x)
    x[1, 0, 0, 0] = math.nan
    found = run(method(), measurement, x=x)
    assert bool(found[1].isnan().any())
    torch.testing.assert_close(found[[0, 2, 3]], whole[[0, 2, 3]], rtol=0, atol=1e-4)


@pytest.mark.parametrize("rows", [1, 4])
def test_what_is_given_never_moves(rows):
    mask = (torch.rand(rows, 1, 4, 4, generator=torch.Generator().manual_seed(2)) > 0.5).float()
    z = latents()
    found, _ = step(STEP, z, phaseless(), mask=mask)
    kept = (mask == 0).expand_as(z)
    assert torch.equal(found[kept], z[kept])
    free, _ = step(STEP, z, phaseless())
    torch.testing.assert_close(found[~kept], free[~kept])


def test_a_run_asks_before_every_pass_and_every_iteration():
    """Whatever comes next, it can be cancelled first; what comes after the cancel is nothing."""
    events = []

    def go(last=math.inf):
        events.clear()
        pair = {"decoder": noted(events, "decode", decoder), "encoder": noted(events, "encode", encoder)}
        run(method(iterations=3), phaseless(), observer=Asking(events, last), steps=2, **pair)

    go()
    # The denoiser; the decoder; three iterations; the encoder, of the corrected pictures and of the others.
    once = ["asked", "asked", "decode", *["asked"] * 3, "asked", "encode", "encode"]
    assert events == 2 * once
    for last in range(1, 2 * once.count("asked") + 1):
        with pytest.raises(InterruptedError):
            go(last)
        assert events.count("asked") == last
        assert events[-1] == "asked"


def test_without_an_encoder_it_says_what_is_missing():
    with pytest.raises(
        ValueError, match=r"^this method encodes pictures, but it was given no encoder; pass encoder=\.$"
    ):
        run(method(), phaseless(), encoder=None)


def test_it_works_where_comfyui_runs_nodes():
    with torch.inference_mode():
        inside = run(method(), phaseless())
    torch.testing.assert_close(run(method(), phaseless()), inside)


# -- another operator, through the whole loop --------------------------------------------------------------------------


def test_a_linear_problem_fits_the_same_protocol():
    """Grey, a prior N(0, 0.2²) of every pixel, latents that are the pictures: the brightness is found as the posterior
    has it; the colours, of which nothing was recorded, are to rounding those that the prior draws from the same noise.
    """
    spread, sigma = 0.2, 0.05
    image = spread * normal(1, 3, 12, 12, seed=4)
    measurement = Grey(noise=GaussianNoise(sigma, clip_negative=False)).measure(image, 1)

    def sampled(data_step):
        likelihood = Likelihood(measurement, Autoencoder(lambda z: z, lambda images: images, FULL))
        levels = anneal(poly_rho(20, 0.01, 10.0), VE, likelihood)

        def model(x, sigma):
            return x * spread**2 / (spread**2 + sigma.reshape(-1, 1, 1, 1) ** 2)

        particles = Particles(10.0 * normal(4, 3, 12, 12, seed=6), Denoiser(model), seed=8)
        return sample_posterior(particles, levels, Method(Tweedie(), data_step, decoding=FULL))

    part = PixelStep(feedback=0.0, spread=1.0, flat_share=0.5)
    found, prior = sampled(part), sampled(part.weighted(0.0))
    brightness, drawn, true = (x.mean(1, keepdim=True) for x in (found, prior, image))
    torch.testing.assert_close(found - brightness, prior - drawn, rtol=0, atol=1e-5)
    assert bool((measurement.residual(found) < 1.5 * measurement.noise_floor).all())
    # What a draw of the exact posterior is wrong by: its variance twice; the prior's draws are by theirs twice.
    exact = 1 / (3 / spread**2 + 1 / sigma**2)
    wrong, by_prior = ((x - true).square().mean((1, 2, 3)) for x in (brightness, drawn))
    assert bool((wrong < 1.5 * 2 * exact).all())
    assert bool((by_prior > 3 * 2 * exact).all())
