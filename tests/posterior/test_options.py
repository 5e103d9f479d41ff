"""Options of every part: NaN is a number for Python, passes comparisons written the wrong way round, and is refused."""

from __future__ import annotations

import math
from dataclasses import MISSING, fields

import pytest
from sampler_lab.guiders.limits import GuidanceLimits
from sampler_lab.operators import PhaseRetrieval
from sampler_lab.posterior.data_steps.hmc import HMC
from sampler_lab.posterior.data_steps.langevin import Langevin
from sampler_lab.posterior.estimates.probability_flow import ProbabilityFlow
from sampler_lab.posterior.guidance import GuidanceOptions
from sampler_lab.posterior.interaction.repulsion import Repulsion
from sampler_lab.posterior.moves.hard_consistency import HardConsistency
from sampler_lab.posterior.moves.pruning import Pruning

OPTIONS = (
    GuidanceLimits,
    GuidanceOptions,
    HardConsistency,
    HMC,
    Langevin,
    ProbabilityFlow,
    PhaseRetrieval,
    Pruning,
    Repulsion,
)


def needed(kind: type) -> dict[str, float]:
    """A value for every option without a default."""
    return {each.name: 1 for each in fields(kind) if each.default is MISSING and each.default_factory is MISSING}


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, each.name) for kind in OPTIONS for each in fields(kind) if each.type == "float"]
)
def test_nan_is_refused_by_name(kind, name):
    with pytest.raises(ValueError, match=name):
        kind(**{**needed(kind), name: math.nan})


@pytest.mark.parametrize("kind", [Langevin, HMC, GuidanceOptions])
def test_a_width_whose_square_is_nothing_is_refused(kind):
    with pytest.raises(ValueError, match="tau is 1e-300"):
        kind(tau=1e-300)
