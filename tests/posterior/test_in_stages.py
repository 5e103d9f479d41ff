"""Two data steps, one after the other as the noise falls."""

from dataclasses import dataclass, field
from typing import ClassVar

import pytest
import torch
from one_level import level_at
from pixel_problems import latents, likelihood_of, particles_of, phaseless, run
from sampler_lab.diffusion.parameterization import CONST, VE
from sampler_lab.posterior.data_steps.in_stages import InStages
from sampler_lab.posterior.data_steps.joint_fit import JointFit
from sampler_lab.posterior.data_steps.langevin import Langevin
from sampler_lab.posterior.data_steps.pixel import PixelStep
from sampler_lab.posterior.decoding import Decoding
from sampler_lab.posterior.estimates.tweedie import Tweedie
from sampler_lab.posterior.method import Method
from sampler_lab.posterior.part import DataStep

FULL = Decoding(precision="full")


@dataclass(frozen=True)
class Noted(DataStep):
    """Writes down at which levels it was taken."""

    name: ClassVar[str] = "noted"
    title: ClassVar[str] = "Noted"
    about: ClassVar[str] = "Notes."
    levels: list = field(default_factory=list)

    def __call__(self, particles, z0_hat, level):
        self.levels.append(level.sigma_ve)
        return z0_hat


@pytest.mark.parametrize("parameterization", [VE, CONST], ids=lambda p: p.name)
def test_the_second_takes_over_below_its_level(parameterization):
    first, then = Noted(), Noted()
    run(Method(Tweedie(), InStages(1.0, first, then), decoding=FULL), phaseless(), parameterization, n=1, steps=8)
    assert len(first.levels) + len(then.levels) == 8
    assert min(first.levels) >= 1.0 > max(then.levels)
    assert len(first.levels) > 1
    assert len(then.levels) > 1


@pytest.mark.parametrize("parameterization", [VE, CONST], ids=lambda p: p.name)
def test_a_level_that_is_named_belongs_to_the_first(parameterization):
    """Also when it came through the scale of a flow, which rounds."""
    first, then = Noted(), Noted()
    sigma = parameterization.sigma_ve(float(parameterization.sigma_from_ve(torch.tensor(0.3))))
    z = latents(1)
    InStages(0.3, first, then)(particles_of(z), z, level_at(likelihood_of(phaseless()), sigma))
    assert (len(first.levels), len(then.levels)) == (1, 0)


def test_a_flows_pure_noise_belongs_to_the_first():
    first, then = Noted(), Noted()
    z = latents(1)
    InStages(0.3, first, then)(particles_of(z), z, level_at(likelihood_of(phaseless()), float("inf")))
    assert (len(first.levels), len(then.levels)) == (1, 0)


def test_three_stages_are_two_in_two():
    steps = [Noted(), Noted(), Noted()]
    stages = InStages(2.0, steps[0], InStages(0.5, steps[1], steps[2]))
    run(Method(Tweedie(), stages, decoding=FULL), phaseless(), n=1, steps=9)
    levels = [level for step in steps for level in step.levels]
    assert levels == sorted(levels, reverse=True)
    assert all(step.levels for step in steps)
    assert steps[1].levels[0] < 2.0 <= steps[0].levels[-1]
    assert steps[2].levels[0] < 0.5 <= steps[1].levels[-1]


def test_it_is_its_stages_and_no_more():
    measurement = phaseless()
    pixel, fit = PixelStep(), JointFit(steps=2)
    alone = run(Method(Tweedie(), pixel, decoding=FULL), measurement)
    assert torch.equal(run(Method(Tweedie(), InStages(0.0, pixel, fit), decoding=FULL), measurement), alone)
    assert torch.equal(run(Method(Tweedie(), InStages(1000.0, fit, pixel), decoding=FULL), measurement), alone)
    both = run(Method(Tweedie(), InStages(0.5, pixel, fit), decoding=FULL), measurement)
    assert not torch.equal(both, alone)


def test_the_weight_is_that_of_both():
    stages = InStages(0.5, PixelStep(), JointFit()).weighted(0.5)
    assert (stages.first.weight, stages.then.weight) == (0.5, 0.5)
    assert stages.is_active
    assert not stages.weighted(0.0).is_active
    assert InStages(0.5, PixelStep(weight=0.0), JointFit()).is_active
    assert not InStages(0.5, PixelStep(weight=0.0), Langevin(weight=0.0)).is_active


def test_the_record_names_both():
    stages = InStages(0.5, PixelStep(feedback=0.5), JointFit(steps=3)).to_dict()
    assert stages["sigma"] == 0.5
    assert (stages["first"]["name"], stages["first"]["feedback"]) == ("pixel", 0.5)
    assert (stages["then"]["name"], stages["then"]["steps"]) == ("joint_fit", 3)
