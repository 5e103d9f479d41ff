"""Every part of every catalogue keeps the contract of its socket: told in words, finite, alone, cancelled in time."""

from __future__ import annotations

import math
from dataclasses import is_dataclass, replace

import pytest
import torch
from linear_problem import Scale, gaussian_denoiser, identity_decoder
from sampler_lab.diffusion.observer import Observer
from sampler_lab.diffusion.parameterization import CONST, VE
from sampler_lab.instruments.record import RunRecord
from sampler_lab.operators import Measurement
from sampler_lab.posterior.data_steps.catalogue import DATA_STEPS
from sampler_lab.posterior.estimates.catalogue import ESTIMATES
from sampler_lab.posterior.method import Method
from sampler_lab.posterior.moves.catalogue import MOVES
from sampler_lab.posterior.part import DataStep, Move
from sampler_lab.samplers.latent_daps import sample_latent_daps
from sampler_lab.samplers.methods import METHODS
from sampler_lab.schedulers import poly_rho

PARTS = [*DATA_STEPS, *ESTIMATES, *MOVES]
EVERY_PART = pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
BOTH = pytest.mark.parametrize("parameterization", [VE, CONST], ids=lambda p: p.name)
Y = torch.tensor([[[[1.0, -0.5], [0.0, 2.0]]]])
#: What makes a chain stable on this small problem; options that a part does not have are left out.
SMALL = {"steps": 3, "step_size": 0.01, "step_size_end": 0.5, "tau": 0.5, "sigma_min": 0.01, "learning_rate": 0.01}


def made(part):
    """The part with numbers that suit the problem."""
    names = {option.name for option in part.options()}
    return part(**{name: value for name, value in SMALL.items() if name in names})


def method_with(part):
    """A method in which this part has its socket to itself."""
    method = Method(made(ESTIMATES[0]), made(DATA_STEPS[0]))
    if issubclass(part, Move):
        return replace(method, moves=(made(part),))
    return replace(method, **{"data_step" if issubclass(part, DataStep) else "estimate": made(part)})


def run(part, parameterization=VE, n=4, x=None, **arguments):
    sigmas = parameterization.sigma_from_ve(poly_rho(6, 0.05, 20.0))
    noise = torch.stack([torch.randn(1, 2, 2, generator=torch.Generator().manual_seed(k)) for k in range(n)])
    return sample_latent_daps(
        gaussian_denoiser(parameterization),
        noise * sigmas[0] if x is None else x,
        sigmas,
        extra_args={"seed": 3},
        disable=True,
        measurement=Measurement(Y, Scale(), noise_floor=0.2),
        decoder=identity_decoder,
        encoder=identity_decoder,
        method=method_with(part),
        parameterization=parameterization,
        **arguments,
    )


def test_names_are_their_own():
    names = [part.name for part in PARTS]
    assert len(set(names)) == len(names)
    assert len({entry.name for entry in METHODS}) == len(METHODS)


@EVERY_PART
def test_it_says_what_it_is(part):
    assert is_dataclass(part)
    assert part.title
    assert part.about.endswith(".")
    for option in part.options():
        assert option.description.endswith("."), option.name
        option.check(option.default)


@EVERY_PART
def test_its_settings_come_back_from_a_record(part):
    settings = made(part)
    plain = {name: value for name, value in settings.to_dict().items() if value is not None}
    assert part.from_dict(plain) == settings


@BOTH
@EVERY_PART
def test_a_run_with_it_is_finite_and_recorded(part, parameterization):
    record = RunRecord()
    record.begin(method_with(part).to_dict(), 3, [], 4)
    z = run(part, parameterization, observer=record)
    assert bool(z.isfinite().all())
    assert len(z) == len(record.survivors)
    assert part.name in str(record.to_dict()["options"])


@EVERY_PART
def test_a_particle_that_breaks_stays_alone(part):
    x = torch.randn(4, 1, 2, 2, generator=torch.Generator().manual_seed(0)) * 20
    x[1] = math.nan
    z = run(part, x=x)
    assert sum(bool(row.isfinite().all()) for row in z) >= min(len(z), 3)


@EVERY_PART
def test_the_same_seed_gives_the_same_result(part):
    assert torch.equal(run(part), run(part))


@EVERY_PART
def test_cancel_arrives_within_an_iteration(part):
    """However far a run has come, it asks again before it decodes or denoises again."""
    asked = []

    class Cancel(Observer):
        def raise_if_cancelled(self):
            asked.append(None)
            if len(asked) == 20:
                raise InterruptedError

    with pytest.raises(InterruptedError):
        run(part, observer=Cancel())
    assert len(asked) == 20
