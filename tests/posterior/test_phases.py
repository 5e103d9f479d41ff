"""A run says beforehand which phases will come: those, and no others, are entered."""

from __future__ import annotations

import pytest
import torch
from linear_problem import Scale, gaussian_denoiser, identity_decoder
from sampler_lab.diffusion.observer import Observer, Observers
from sampler_lab.diffusion.parameterization import VE
from sampler_lab.instruments.record import RunRecord
from sampler_lab.operators import Measurement
from sampler_lab.posterior.data_steps.joint_fit import JointFit
from sampler_lab.posterior.data_steps.langevin import Langevin
from sampler_lab.posterior.method import Method
from sampler_lab.posterior.moves.hard_consistency import HardConsistency
from sampler_lab.posterior.moves.pruning import Pruning
from sampler_lab.samplers.latent_daps import sample_latent_daps
from sampler_lab.samplers.phase_retrieval import recipe
from sampler_lab.schedulers.search import SearchLevels

Y = torch.tensor([[[[1.0, -0.5], [0.0, 2.0]]]])
LANGEVIN = Langevin(steps=1, step_size=0.01, tau=0.5)


class Heard(Observer):
    """Keeps what was announced."""

    def plan(self, phases):
        self.planned = list(phases)


def planned_and_entered(method, count):
    heard, record = Heard(), RunRecord()
    record.begin({}, 0, [], count)
    sigmas = SearchLevels(search_steps=4, fit_steps=2).sigmas()
    sample_latent_daps(
        gaussian_denoiser(VE),
        torch.randn(count, 1, 2, 2, generator=torch.Generator().manual_seed(0)) * sigmas[0],
        sigmas,
        disable=True,
        measurement=Measurement(Y, Scale(), noise_floor=0.2),
        decoder=identity_decoder,
        encoder=identity_decoder,
        method=method,
        parameterization=VE,
        observer=Observers(heard, record),
    )
    return heard.planned, [phase["name"] for phase in record.to_dict()["phases"]]


LAST = ["off_decoder", "choose"]
CASES = {
    "recipe": (recipe(8), 8, ["explore", "prune", "refine", "fit", *LAST]),
    "recipe of two": (recipe(2), 2, ["explore", "prune", "refine", "fit", *LAST]),
    "recipe of one": (recipe(1), 1, ["explore", "fit", *LAST]),
    "the prior alone": (recipe(4, weight=0.0), 4, ["explore"]),
    "independent": (Method(data_step=LANGEVIN), 2, ["explore"]),
    "nobody to prune": (Method(data_step=LANGEVIN, moves=(Pruning(keep=2),)), 2, ["explore"]),
    "pruned at the end": (Method(data_step=LANGEVIN, moves=(Pruning(keep=1, progress=1.0),)), 2, ["explore", "prune"]),
    "pruned off": (Method(data_step=LANGEVIN, moves=(Pruning(keep=0), HardConsistency(iterations=0))), 2, ["explore"]),
    "pruned twice": (
        Method(
            data_step=LANGEVIN, moves=(Pruning(keep=4, progress=0.3), Pruning(keep=2), HardConsistency(iterations=1))
        ),
        8,
        ["explore", "prune", "refine", "polish"],
    ),
    "fitted from the start": (Method(data_step=JointFit(steps=1)), 2, ["explore", "fit"]),
    "a fit that is off": (Method(data_step=JointFit(steps=0)), 2, ["explore"]),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_phases_that_are_announced_are_those_that_come(case):
    method, count, expected = case
    planned, entered = planned_and_entered(method, count)
    assert planned == expected
    assert sorted(planned) == sorted(entered)
