"""The blind choice: what the score is made of, whom it puts first, and that everything with rows follows."""

import math

import pytest
import torch
from one_level import last_level, level_at
from pixel_problems import Asking, decoder, encoder, latents, likelihood_of, normal, phaseless, run, truth
from sampler_lab.diffusion.observer import SILENT, Observer
from sampler_lab.diffusion.parameterization import CONST, VE
from sampler_lab.diffusion.particle_noise import ParticleNoise
from sampler_lab.instruments.calls import Calls
from sampler_lab.instruments.record import RunRecord
from sampler_lab.posterior.data_steps.pixel import PixelStep
from sampler_lab.posterior.decoding import Decoding
from sampler_lab.posterior.estimates.tweedie import Tweedie
from sampler_lab.posterior.method import Method
from sampler_lab.posterior.moves.blind_choice import SIGMAS, BlindChoice, prior_error
from sampler_lab.posterior.particles import Denoiser, Particles

FULL = Decoding(precision="full")
KINDS = [VE, CONST, VE.with_noise_scale(3.0), CONST.with_noise_scale(8.0)]
EVERY_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.name} {kind.noise_scale:g}")


class Reports(Observer):
    def __init__(self):
        self.choice = None

    def step(self, i, sigma, phase=None, **facts):
        self.choice = facts.get("choice", self.choice)


def denoiser_of(kind):
    """E[z | x] for z ~ N(0, 1), for any scale of the noise."""

    def model(x, sigma, **_):
        sigma = sigma.reshape(-1, 1, 1, 1)
        alpha, noise = kind.alpha(sigma), kind.noise_deviation(sigma)
        return x * alpha / (alpha**2 + noise**2)

    return model


def particles_at(z, kind=VE, seed=3, observer=SILENT, model=None, **extra_args):
    return Particles(z, Denoiser(model or denoiser_of(kind), extra_args, observer=observer), seed)


def chosen(z, measurement=None, prior_weight=0.3, particles=None, kind=VE, observer=SILENT, decode=decoder):
    """The latents in their new order, the particles, and what was reported."""
    reports = Reports()
    particles = particles or particles_at(z, kind, observer=observer)
    likelihood = likelihood_of(measurement or phaseless(), decode, encode=None, observer=observer)
    level = last_level(likelihood, kind, reports)
    return BlindChoice(prior_weight=prior_weight)(particles, z, level), particles, reports.choice


def doubted(particles, z, level):
    """The prior error as the choice asks for it: one draw of noise for all."""
    noise = ParticleNoise(particles.seed, "blind choice")(z[:1])
    return prior_error(particles, z, level, SIGMAS, [noise])


# -- the model's opinion -----------------------------------------------------------------------------------------------


@EVERY_KIND
def test_the_prior_error_of_a_known_denoiser(kind):
    """D(z + s eps) = (z + s eps)/(1 + s²) for a unit Gaussian, so z - D = s (s z - eps)/(1 + s²), over s squared."""
    z = latents(3)
    level = last_level(likelihood_of(phaseless()), kind)
    eps = ParticleNoise(3, "blind choice")(z[:1])
    expected = sum(((s * z - eps) / (1 + s**2)).square().mean((1, 2, 3)) for s in SIGMAS)
    torch.testing.assert_close(doubted(particles_at(z, kind), z, level), expected, rtol=1e-4, atol=1e-5)


def test_all_particles_meet_the_same_noise():
    """So twins have one score, and nobody's depends on who else is there, or where."""
    z = latents(3)
    level = last_level(likelihood_of(phaseless()))
    found = doubted(particles_at(z), z, level)
    twice = torch.cat([z, z.flip(0)])
    torch.testing.assert_close(doubted(particles_at(twice), twice, level), torch.cat([found, found.flip(0)]))
    for k in range(3):
        torch.testing.assert_close(doubted(particles_at(z[k : k + 1]), z[k : k + 1], level), found[k : k + 1])
    other = doubted(particles_at(z, seed=4), z, level)
    assert not torch.allclose(other, found, rtol=1e-3)


def test_strange_latents_have_larger_errors():
    z = torch.cat([0.5 * latents(1), 6.0 * latents(1)])
    found = doubted(particles_at(z), z, last_level(likelihood_of(phaseless())))
    assert float(found[1]) > 2 * float(found[0])


# -- the score ---------------------------------------------------------------------------------------------------------


def test_it_is_the_residual_over_the_floor_and_the_weighted_error():
    z, measurement = latents(), phaseless()
    found, particles, told = chosen(z, measurement)
    misfit = measurement.residual(decoder(z)) / measurement.noise_floor
    doubt = doubted(particles_at(z), z, last_level(likelihood_of(measurement)))
    assert told["misfit"] == pytest.approx(misfit.tolist(), rel=1e-5)
    assert told["prior_error"] == pytest.approx(doubt.tolist(), rel=1e-5)
    assert told["score"] == pytest.approx((misfit + 0.3 * doubt).tolist(), rel=1e-5)
    assert told["particles"] == [0, 1, 2, 3]
    order = sorted(range(4), key=told["score"].__getitem__)
    assert particles.names == order
    assert torch.equal(found, z[order])


def test_pictures_are_judged_as_they_are_saved():
    """Clamped to [-1, 1]; a decoder may draw beyond."""
    measurement, z = phaseless(), latents()

    def bold(at):
        return 3 * decoder(at)

    _, _, told = chosen(z, measurement, decode=bold)
    expected = measurement.residual(bold(z).clamp(-1, 1)) / measurement.noise_floor
    assert told["misfit"] == pytest.approx(expected.tolist(), rel=1e-5)


def test_the_models_opinion_can_decide():
    """Two latents of one picture (this decoder sees no more than 1), which the measurement cannot tell apart."""
    far = 6.0 * encoder(truth()).sign()

    def half_blind(z):
        return decoder(z.clamp(-1, 1))

    plain = torch.cat([far, far.clamp(-1, 1)])
    _, by_both, _ = chosen(plain, prior_weight=0.3, decode=half_blind)
    assert by_both.names == [1, 0]
    _, by_residual, told = chosen(plain, prior_weight=0.0, decode=half_blind)
    assert by_residual.names == [0, 1]  # equal scores keep their order
    assert told["prior_error"] == [0, 0]


def test_the_truth_comes_before_strangers():
    z = torch.cat([latents(3, 2), encoder(truth())])
    _, particles, _ = chosen(z)
    assert particles.names[0] == 3


def test_a_score_that_is_nan_goes_last():
    z = latents(4)
    z[0, 0, 0, 0] = math.nan
    found, particles, told = chosen(z)
    assert math.isnan(told["score"][0])
    assert particles.names[-1] == 0
    assert sorted(particles.names) == [0, 1, 2, 3]
    assert bool(found[:3].isfinite().all())


def test_infinity_comes_before_nan():
    """A model that is at a loss has an opinion still."""
    z = latents(3)
    z[0, 0, 0, 0] = math.nan
    base = denoiser_of(VE)

    def lost(x, sigma, **_):
        found = base(x, sigma)
        found[1] = 1e30
        return found

    _, particles, told = chosen(z, particles=particles_at(z, model=lost))
    assert told["score"][1] == math.inf
    assert particles.names == [2, 1, 0]


# -- rows --------------------------------------------------------------------------------------------------------------


def test_everything_with_rows_follows():
    """Names, latents, pictures, masks, the model's own rows, and every stream of noise."""
    z = latents()
    mask = torch.arange(4.0).reshape(4, 1, 1, 1).expand(4, 1, 4, 4)
    rows = []

    def select(model, extra_args, kept, count):
        rows.append((kept, count))
        return model, {**extra_args, "denoise_mask": extra_args["denoise_mask"][kept]}

    particles = Particles(z.clone(), Denoiser(denoiser_of(VE), {"denoise_mask": mask}, select_rows=select), 3)
    particles.pictures = normal(4, 3, 8, 8)
    pictures = particles.pictures
    particles.stream("another")(z)  # a stream that is in use already
    expected = {name: ParticleNoise(3, name) for name in ("sampler", "another", "later")}
    expected["another"](z)
    found, particles, told = chosen(z, particles=particles)
    order = sorted(range(4), key=told["score"].__getitem__)
    assert order != [0, 1, 2, 3]
    assert particles.names == order
    assert rows == [(order, 4)]
    assert torch.equal(particles.x, z[order])
    assert torch.equal(found, z[order])
    assert torch.equal(particles.pictures, pictures[order])
    assert torch.equal(particles.mask, mask[order])
    for name, stream in expected.items():
        noise = particles.noise if name == "sampler" else particles.stream(name)
        assert torch.equal(noise(found), stream(z)[order]), name


def test_it_draws_nothing_from_the_particles():
    z = latents()
    _, particles, _ = chosen(z)
    assert torch.equal(particles.noise(z), ParticleNoise(3)(z)[particles.names])


# -- the contract ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("weight", "denoised"), [(0.3, 12), (0.0, 0)])
def test_every_pass_is_counted(weight, denoised):
    calls = Calls()
    chosen(latents(), prior_weight=weight, observer=calls)
    assert calls == Calls(denoiser=denoised, decoder_forward=4)


def test_it_is_cancelled_before_every_call_of_the_model():
    events = []
    chosen(latents(), observer=Asking(events))
    assert len(events) == len(SIGMAS)
    for last in range(1, len(SIGMAS) + 1):
        with pytest.raises(InterruptedError):
            chosen(latents(), observer=Asking([], last))


def test_it_is_due_after_the_last_step_only():
    likelihood = likelihood_of(phaseless())
    assert BlindChoice().is_due(last_level(likelihood))
    assert not BlindChoice().is_due(level_at(likelihood))


@EVERY_KIND
def test_ve_and_flow_choose_alike(kind):
    scores = [chosen(latents(), kind=each)[2]["score"] for each in (VE, kind)]
    assert scores[0] == pytest.approx(scores[1], rel=1e-4)


def test_a_run_returns_the_best_first():
    """As latents, in the record, and in what is shown; the rest of the run is as it was."""
    measurement, record = phaseless(), RunRecord()
    record.begin({}, 5, [], 4)
    method = Method(Tweedie(), PixelStep(feedback=0.0), (BlindChoice(),), decoding=FULL)
    z = run(method, measurement, observer=record)
    plain = run(Method(Tweedie(), PixelStep(feedback=0.0), decoding=FULL), measurement)
    order = record.survivors
    assert sorted(order) == [0, 1, 2, 3]
    assert torch.equal(z, plain[order])
    told = next(step["choice"] for step in record.to_dict()["steps"] if "choice" in step)
    assert told["score"][order[0]] == min(told["score"])
