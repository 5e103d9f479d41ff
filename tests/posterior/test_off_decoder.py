"""The step off the decoder: pictures beside the latents, nearer to the measurement, and nothing moved but them."""

import math

import pytest
import torch
from one_level import last_level, level_at
from pixel_problems import (
    Asking,
    decoder,
    encoder,
    grey,
    latents,
    likelihood_of,
    particles_of,
    phaseless,
    run,
    truth,
)
from sampler_lab.diffusion.observer import SILENT, Observer
from sampler_lab.diffusion.parameterization import CONST, VE
from sampler_lab.instruments.calls import Calls
from sampler_lab.posterior.data_steps.pixel import PixelStep, pixel_variance
from sampler_lab.posterior.decoding import Decoding
from sampler_lab.posterior.estimates.tweedie import Tweedie
from sampler_lab.posterior.method import Method
from sampler_lab.posterior.moves.blind_choice import BlindChoice
from sampler_lab.posterior.moves.off_decoder import OffDecoder

FULL = Decoding(precision="full")
MEASUREMENTS = {
    "phase retrieval": phaseless(),
    "little noise": phaseless(0.005),
    "-1..1": phaseless(signal_range="-1..1"),
    "grey phase retrieval": phaseless(channels="mean"),
    "grey": grey(),
}
EVERY = pytest.mark.parametrize("measurement", MEASUREMENTS.values(), ids=MEASUREMENTS)


def near(n=4):
    """Latents near the truth's, whose pictures are not the truth by more than the decoder's own fault."""
    return encoder(truth()) + 0.15 * latents(n)


def moved(measurement, z, part=None, micro_batch=0, mask=None, observer=SILENT):
    """The particles after the move, and the latents that it gave back."""
    part = part or OffDecoder()
    particles = particles_of(z, mask)
    level = last_level(
        likelihood_of(measurement, encode=None, micro_batch=micro_batch, observer=observer), VE, observer
    )
    return particles, part(particles, z, level)


@EVERY
def test_the_latent_stays_and_the_residual_falls(measurement):
    z = near()
    before, latent = z.clone(), z
    particles, found = moved(measurement, latent)
    assert found is latent
    assert torch.equal(found, before)
    assert torch.equal(particles.x, before)
    images = decoder(z)
    assert particles.pictures.shape == images.shape
    assert particles.pictures.abs().max() <= 1
    assert bool((measurement.residual(particles.pictures) < measurement.residual(images)).all())


@pytest.mark.parametrize("name", ["phase retrieval", "little noise", "-1..1", "grey"])
def test_pictures_come_nearer_to_the_truth(name):
    """That is what it is for: what no latent draws is in the measurement."""
    z = near()
    particles, _ = moved(MEASUREMENTS[name], z)
    after, before = ((x - truth()).square().mean((1, 2, 3)) for x in (particles.pictures, decoder(z)))
    assert float(after.mean()) < float(before.mean())


@EVERY
def test_it_is_what_its_docstring_says(measurement):
    """E[u | y] with one variance for all frequencies, no momentum, and s² shortened by e/(e + 0.1)."""
    z, likelihood = near(), likelihood_of(measurement)
    images = decoder(z)
    excess = (measurement.residual(images) / measurement.noise_floor - 1).clamp_min(0)
    posterior = likelihood.of_pixels
    error = posterior.error(images, by_band=False)
    variance = pixel_variance(images, error.variance * excess / (excess + 0.1), 1.5, 0.2)
    expected = posterior.mean(images, error, variance + 1e-6 * posterior.noise_variance, 7, momentum=False)
    particles, _ = moved(measurement, z, OffDecoder(iterations=7, spread=1.5, flat_share=0.2))
    torch.testing.assert_close(particles.pictures, expected)


@EVERY
def test_a_picture_at_the_floor_stays(measurement):
    """No excess, so no error to correct: a measurement whose floor lies above the residual."""
    z = near(2)
    generous = type(measurement)(
        measurement.y,
        measurement.operator,
        None,
        measurement.image_shape,
        float(measurement.residual(decoder(z)).max()),
    )
    particles, _ = moved(generous, z)
    torch.testing.assert_close(particles.pictures, decoder(z), rtol=0, atol=1e-4)


def test_without_a_floor_it_is_believed_in_full():
    measurement = phaseless(0.0)
    particles, _ = moved(measurement, near())
    assert bool(particles.pictures.isfinite().all())
    assert bool((measurement.residual(particles.pictures) < 0.5 * measurement.residual(decoder(near()))).all())


def test_it_is_due_after_the_last_step_only():
    likelihood = likelihood_of(phaseless())
    assert OffDecoder().is_due(last_level(likelihood))
    assert not OffDecoder().is_due(level_at(likelihood))
    noisy_end = last_level(likelihood)
    noisy_end.sigma_next = torch.tensor(0.05)
    assert not OffDecoder().is_due(noisy_end)


@EVERY
def test_every_pass_is_counted(measurement):
    calls = Calls()
    moved(measurement, near(3), observer=calls)
    assert calls == Calls(decoder_forward=3)


@EVERY
def test_micro_batches_change_nothing_but_rounding(measurement):
    z = near()
    together, _ = moved(measurement, z)
    for size in (1, 3):
        parts, _ = moved(measurement, z, micro_batch=size)
        torch.testing.assert_close(parts.pictures, together.pictures, rtol=0, atol=1e-4)


def test_a_particle_that_is_nan_stays_alone():
    z = near()
    whole, _ = moved(phaseless(), z)
    z[1, 0, 0, 0] = math.nan
    broken, _ = moved(phaseless(), z)
    assert bool(broken.pictures[1].isnan().any())
    torch.testing.assert_close(broken.pictures[[0, 2, 3]], whole.pictures[[0, 2, 3]], rtol=0, atol=1e-4)


def test_it_is_cancelled_within_an_iteration():
    events = []
    moved(phaseless(), near(), OffDecoder(iterations=5), observer=Asking(events))
    assert len(events) == 1 + 5
    for last in range(1, 7):
        events.clear()
        with pytest.raises(InterruptedError):
            moved(phaseless(), near(), OffDecoder(iterations=5), observer=Asking(events, last))
        assert len(events) == last


class Listening(Observer):
    """Keeps what a run shows and reports."""

    listens = True

    def __init__(self):
        self.phases, self.shown, self.reports, self.residual = [], [], [], None

    def enter(self, phase):
        self.phases.append(phase)

    def images(self, particles, images):
        self.shown.append((list(particles), images))

    def step(self, i, sigma, phase=None, **facts):
        self.reports.append(facts)

    def final(self, particles, residual, *_):
        self.residual = residual


@pytest.mark.parametrize("parameterization", [VE, CONST], ids=lambda p: p.name)
def test_a_run_ends_with_pictures_that_are_shown_and_judged(parameterization):
    """The result's residual is that of the pictures, not of what the decoder draws."""
    measurement, heard = phaseless(), Listening()
    method = Method(Tweedie(), PixelStep(feedback=0.0), (OffDecoder(),), decoding=FULL)
    z = run(method, measurement, parameterization, observer=heard)
    (told,) = [facts["off_decoder"] for facts in heard.reports if "off_decoder" in facts]
    assert heard.phases[-1].startswith("off")
    assert told["particles"] == [0, 1, 2, 3]
    torch.testing.assert_close(torch.tensor(told["residual_before"]), measurement.residual(decoder(z)))
    names, pictures = heard.shown[-1]
    assert names == [0, 1, 2, 3]
    torch.testing.assert_close(heard.residual, measurement.residual(pictures))
    torch.testing.assert_close(heard.residual, torch.tensor(told["residual"]))
    assert bool((heard.residual < measurement.residual(decoder(z))).all())
    plain = Method(Tweedie(), PixelStep(feedback=0.0), decoding=FULL)
    assert torch.equal(z, run(plain, measurement, parameterization))


def test_pictures_follow_their_particles():
    """Whoever puts the particles in order afterwards takes the pictures along; so does pruning."""
    z = near()
    particles, _ = moved(phaseless(), z)
    pictures = particles.pictures.clone()
    particles.keep([2, 0])
    assert torch.equal(particles.pictures, pictures[[2, 0]])
    method = Method(Tweedie(), PixelStep(), (OffDecoder(), BlindChoice()), decoding=FULL)
    heard, plain = Listening(), Listening()
    run(method, phaseless(), observer=heard)
    run(Method(Tweedie(), PixelStep(), (OffDecoder(),), decoding=FULL), phaseless(), observer=plain)
    names, ordered = heard.shown[-1]
    assert sorted(names) == [0, 1, 2, 3]
    torch.testing.assert_close(ordered, plain.shown[-1][1][names], rtol=0, atol=1e-5)


def test_it_works_where_comfyui_runs_nodes():
    with torch.inference_mode():
        inside, _ = moved(phaseless(), near())
    outside, _ = moved(phaseless(), near())
    torch.testing.assert_close(outside.pictures, inside.pictures)
