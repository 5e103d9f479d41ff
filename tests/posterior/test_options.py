"""Options of every part: NaN is a number for Python, passes comparisons written the wrong way round, and is refused."""

from __future__ import annotations

import math
from dataclasses import MISSING, fields

import pytest
from sampler_lab.guiders.limits import GuidanceLimits
from sampler_lab.operators import PhaseRetrieval
from sampler_lab.posterior.data_steps.mcmc import MCMCOptions
from sampler_lab.posterior.estimates.probability_flow import ODEOptions
from sampler_lab.posterior.guidance import GuidanceOptions
from sampler_lab.posterior.interaction.repulsion import RepulsionOptions
from sampler_lab.posterior.moves.hard_consistency import HardConsistencyOptions
from sampler_lab.posterior.moves.pruning import PruningOptions

OPTIONS = (
    GuidanceLimits,
    GuidanceOptions,
    HardConsistencyOptions,
    MCMCOptions,
    ODEOptions,
    PhaseRetrieval,
    PruningOptions,
    RepulsionOptions,
)
#: What a node calls an option that has another name in Python.
SHOWN = {(MCMCOptions, "weight"): "measurement_weight"}


def needed(kind: type) -> dict[str, float]:
    """A value for every option without a default."""
    return {each.name: 1 for each in fields(kind) if each.default is MISSING and each.default_factory is MISSING}


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, each.name) for kind in OPTIONS for each in fields(kind) if each.type == "float"]
)
def test_nan_is_refused_by_name(kind, name):
    with pytest.raises(ValueError, match=SHOWN.get((kind, name), name)):
        kind(**{**needed(kind), name: math.nan})


@pytest.mark.parametrize("kind", [MCMCOptions, GuidanceOptions])
def test_a_width_whose_square_is_nothing_is_refused(kind):
    with pytest.raises(ValueError, match="tau is 1e-300"):
        kind(tau=1e-300)
