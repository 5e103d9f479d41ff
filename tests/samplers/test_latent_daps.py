"""LatentDAPS on problems whose answer is known: Gaussian priors, linear measurements, an exact Gaussian mixture."""

import math
from dataclasses import replace

import pytest
import torch
from linear_problem import Scale, gaussian_denoiser, identity_decoder
from sampler_lab.diffusion.observer import Observer
from sampler_lab.diffusion.parameterization import CONST, VE
from sampler_lab.instruments.divergence import divergence
from sampler_lab.instruments.record import RunRecord
from sampler_lab.operators import Measurement
from sampler_lab.posterior.data_steps.langevin import Langevin
from sampler_lab.posterior.estimates.probability_flow import ProbabilityFlow
from sampler_lab.posterior.method import Method
from sampler_lab.samplers.latent_daps import PRESETS, sample_latent_daps
from sampler_lab.schedulers import poly_rho

Y = torch.tensor([[[[1.0, -0.5], [0.0, 2.0]]]])
METHOD = Method(
    ProbabilityFlow(steps=3, sigma_min=0.01),
    Langevin(steps=20, step_size=0.01, step_size_end=0.2, tau=0.5, prior_width="capped"),
)
#: With the ODE solved finely, what is left is DAPS's own approximation.
FINE = replace(METHOD, estimate=ProbabilityFlow(steps=100, sigma_min=0.001))
BOTH = pytest.mark.parametrize("parameterization", [VE, CONST], ids=lambda p: p.name)


def start(n, sigma, seed=0, shape=(1, 2, 2)):
    noise = torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(100 * seed + k)) for k in range(n)])
    return noise * sigma  # the prior at sigma_max is noise to within its own scale


def run(n, parameterization=VE, steps=20, method=METHOD, model=None, x=None, **arguments):
    sigmas = parameterization.sigma_from_ve(poly_rho(steps, 0.05, 20.0))
    arguments = {"measurement": Measurement(Y, Scale()), "decoder": identity_decoder, **arguments}
    return sample_latent_daps(
        model or gaussian_denoiser(parameterization),
        start(n, sigmas[0]) if x is None else x,
        sigmas,
        extra_args=arguments.pop("extra_args", {"seed": 5}),
        disable=True,
        method=method,
        parameterization=parameterization,
        **arguments,
    )


def weight(value, method=METHOD):
    return replace(method, data_step=replace(method.data_step, weight=value))


@BOTH
def test_posterior_of_a_linear_gaussian_problem(parameterization):
    n = 2000
    z = run(n, parameterization, method=FINE)
    tau = METHOD.data_step.tau
    precision = 1 + 1 / tau**2
    mean, std = Y[0] / tau**2 / precision, precision**-0.5
    # DAPS replaces p(z0|z_t) by a Gaussian, so its posterior is close, not exact: mean within 0.1 of a prior's standard
    # deviation, spread within a quarter. The prior alone would miss the mean by up to 1.6 and the spread by a factor 2.
    assert (z.mean(0) - mean).abs().max() < 0.1
    assert z.std(0).div(std).sub(1).abs().max() < 0.25


@BOTH
def test_without_a_measurement_it_samples_the_prior(parameterization):
    n = 4000
    z = run(n, parameterization, steps=40, method=weight(0.0, FINE))
    assert z.mean(0).abs().max() < 4.5 / math.sqrt(n)
    assert z.std(0).sub(1).abs().max() < 0.05


def test_weight_zero_never_decodes():
    def decoder(z):
        raise AssertionError("decoded")

    run(2, method=weight(0.0), decoder=decoder)


def test_prior_of_two_modes_is_sampled_in_proportion():
    centres, weights, s = torch.tensor([-2.0, 2.0]), torch.tensor([0.3, 0.7]), 0.3

    def mixture(x, sigma, **_):
        variance = s**2 + sigma.reshape(-1, 1, 1, 1) ** 2
        logits = -((x[..., None] - centres) ** 2) / (2 * variance[..., None]) + weights.log()
        means = centres + s**2 / variance[..., None] * (x[..., None] - centres)
        return (logits.softmax(-1) * means).sum(-1)

    n = 1500
    z = run(n, steps=60, method=weight(0.0), model=mixture, x=start(n, 20.0, shape=(1, 1, 1)))
    assert (z > 0).float().mean().item() == pytest.approx(0.7, abs=4.5 * math.sqrt(0.21 / n) + 0.02)
    assert z.abs().sub(2).std().item() == pytest.approx(s, rel=0.2)


@BOTH
def test_a_particle_does_not_depend_on_its_neighbours(parameterization):
    together = run(3, parameterization)
    assert torch.equal(run(1, parameterization), together[:1])
    assert not torch.equal(together[0], together[1])


def test_same_seed_same_result_other_seed_other_result():
    assert torch.equal(run(2), run(2))
    assert not torch.equal(run(2), run(2, extra_args={"seed": 6}))


def test_a_particle_that_breaks_stays_alone():
    x = start(3, 20.0)
    x[1] = math.nan
    z = run(3, x=x)
    assert torch.equal(z[[0, 2]], run(3)[[0, 2]])
    assert bool(z[1].isnan().all())


def test_a_chain_that_diverges_is_told_once(caplog):
    wild = replace(METHOD, data_step=replace(METHOD.data_step, step_size=1e6, steps=40))
    record = RunRecord()
    record.begin(options={}, seed=5, sigmas=[])
    z = run(2, method=wild, observer=record)
    assert z.isfinite().all()
    steps = record.to_dict()["steps"]
    assert steps[0]["set_back"] == [0, 1]
    assert "became NaN or infinite" in divergence(steps, None, 1.0)
    (said,) = [entry for entry in caplog.records if "halve the step size" in entry.getMessage()]
    assert "particle 0, 1" in said.getMessage()


def test_record_and_callback_count_what_was_done(tmp_path):
    record, seen, calls = RunRecord(), [], []
    base = gaussian_denoiser(VE)

    def model(x, sigma, **extra_args):
        calls.append(len(x))
        return base(x, sigma)

    run(2, steps=7, model=model, observer=record, callback=seen.append)
    assert [step["i"] for step in seen] == list(range(7))
    assert all(set(step) >= {"x", "i", "sigma", "sigma_hat", "denoised"} for step in seen)
    facts = record.to_dict()
    assert len(calls) == 7 * 3
    assert [len(step["residual"]) for step in facts["steps"]] == [2] * 7
    assert facts["calls"] == {
        "denoiser": sum(calls),
        "decoder_forward": 2 * 7 * (20 + 1),  # the chain, and one look at the residual a step
        "decoder_backward": 2 * 7 * 20,
        "encoder": 0,
    }


def test_the_residual_falls_to_the_noise_floor():
    truth = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(2))
    measurement = Scale(noise_sigma=0.05).measure(truth, seed=1)
    data_step = replace(METHOD.data_step, tau=0.05, step_size=2e-4, step_size_end=0.9)
    method = replace(METHOD, data_step=data_step)
    record = RunRecord()
    run(2, method=method, x=start(2, 20.0, shape=(1, 16, 16)), measurement=measurement, observer=record)
    first, last = (record.to_dict()["steps"][k]["residual"][0] for k in (0, -1))
    assert first > 3 * measurement.noise_floor
    assert last < 3 * measurement.noise_floor


def test_cancel_stops_inside_a_chain():
    count = []

    class Cancel(Observer):
        def raise_if_cancelled(self):
            count.append(None)
            if len(count) == 8:  # 3 denoiser calls, then in the middle of the first chain
                raise InterruptedError

    with pytest.raises(InterruptedError):
        run(1, observer=Cancel())
    assert len(count) == 8


def test_masked_latents_come_back_as_given():
    given = torch.randn(1, 1, 2, 2, generator=torch.Generator().manual_seed(9))
    mask = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    base = gaussian_denoiser(VE)

    def inpainting(x, sigma, denoise_mask, **_):
        """What the host's wrapper does: the given part is never denoised."""
        return base(x, sigma) * denoise_mask + given * (1 - denoise_mask)

    z = run(2, model=inpainting, extra_args={"seed": 5, "denoise_mask": mask})
    kept = (mask == 0).expand_as(z)
    torch.testing.assert_close(z[kept], given.expand_as(z)[kept], rtol=0, atol=1e-6)


def test_the_callers_things_are_left_alone():
    x, extra_args = start(2, 20.0), {"seed": 5, "model_options": {"a": [1]}}
    before = x.clone()
    run(2, x=x, extra_args=extra_args)
    assert torch.equal(x, before)
    assert extra_args == {"seed": 5, "model_options": {"a": [1]}}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    z = run(2, x=start(2, 20.0).to(dtype))
    assert z.dtype == dtype
    torch.testing.assert_close(z.float(), run(2), rtol=0, atol=0.1)


@pytest.mark.parametrize(
    ("sigmas", "parameterization", "word"),
    [
        ([10.0, math.nan, 0.0], VE, "NaN"),
        ([1.0, 2.0, 0.0], VE, "decrease"),
        ([1.0, 1.0, 0.0], VE, "decrease"),
        ([10.0, 1.0, 0.0], CONST, "flow model"),
    ],
)
def test_bad_sigmas_are_named(sigmas, parameterization, word):
    with pytest.raises(ValueError, match=word):
        sample_latent_daps(
            gaussian_denoiser(parameterization),
            start(1, 1.0),
            torch.tensor(sigmas),
            measurement=Measurement(Y, Scale()),
            decoder=identity_decoder,
            parameterization=parameterization,
        )


@pytest.mark.parametrize("sigmas", [[], [3.0]])
def test_no_step_returns_the_input(sigmas):
    x = start(2, 3.0)
    z = sample_latent_daps(
        gaussian_denoiser(VE), x, torch.tensor(sigmas), measurement=Measurement(Y, Scale()), decoder=identity_decoder
    )
    assert torch.equal(z, x)


def test_sigmas_that_do_not_end_in_zero_leave_that_much_noise():
    sigmas = poly_rho(10, 0.5, 20.0, end_at_zero=False)
    n = 3000
    z = sample_latent_daps(
        gaussian_denoiser(VE),
        start(n, 20.0),
        sigmas,
        extra_args={"seed": 1},
        disable=True,
        measurement=Measurement(Y, Scale()),
        decoder=identity_decoder,
        method=weight(0.0, FINE),
    )
    assert z.var().item() == pytest.approx(1 + 0.5**2, rel=0.08)


def test_every_preset_runs():
    for name, method in PRESETS.items():
        quick = replace(method, data_step=replace(method.data_step, steps=2))
        assert run(2, steps=3, method=quick).isfinite().all(), name
