"""The catalogue of schedules on descriptions of models, without a host."""

from __future__ import annotations

import inspect
from itertools import pairwise

import pytest
import torch
from sampler_lab.diffusion.options import Option
from sampler_lab.diffusion.parameterization import CONST, VE
from sampler_lab.schedulers import CATALOGUE, RANGE, ModelLevels, ScheduleEntry, entry
from sampler_lab.schedulers.placing import PURE_NOISE, in_model_units

EVERY = pytest.mark.parametrize("schedule", CATALOGUE, ids=lambda e: e.name)
TABLE = torch.logspace(-1.5, 1.16, 1000)
MODELS = {
    "VE": ModelLevels(VE, float(TABLE[0]), float(TABLE[-1]), TABLE),
    "flow": ModelLevels(CONST, 0.001, 1.0, torch.linspace(0.001, 1.0, 1000)),
    "scaled flow": ModelLevels(CONST.with_noise_scale(8.0), 0.001, 1.0, torch.linspace(0.001, 1.0, 1000)),
}


@EVERY
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_each_falls_from_the_models_first_level_to_0(schedule, model, n):
    sigmas = schedule.sigmas(MODELS[model], n)
    assert sigmas.dtype == torch.float32
    assert len(sigmas) == n + 1
    assert sigmas[0] == pytest.approx(MODELS[model].sigma_max, rel=1e-4)
    assert sigmas[-1] == 0
    assert all(a > b for a, b in pairwise(sigmas.tolist()))


@EVERY
def test_each_keeps_to_a_range_in_the_models_units(schedule):
    sigmas = schedule.sigmas(MODELS["flow"], 8, sigma_max=0.8, sigma_min=0.2)
    assert sigmas[0] == pytest.approx(0.8, abs=2e-3)
    if schedule.name != "linear_quadratic":
        assert sigmas[-2] >= 0.2 - 1e-6


@EVERY
def test_options_are_read_off_the_function(schedule):
    defaults = {option.name: option.default for option in schedule.options}
    parameters = inspect.signature(schedule.spacing).parameters
    assert {name: parameters[name].default for name in defaults} == defaults
    levels = MODELS["flow"]
    assert torch.equal(schedule.sigmas(levels, 9, **defaults), schedule.sigmas(levels, 9))
    for option in schedule.options:
        with pytest.raises(ValueError, match=f"{option.name} is nan; it must be a number"):
            schedule.sigmas(levels, 9, **{option.name: float("nan")})
        assert option.name in schedule.spacing.__doc__


@pytest.mark.parametrize(
    ("name", "option", "value"), [("poly_rho", "rho", 3.0), ("linear_quadratic", "threshold", 0.1)]
)
def test_an_option_counts_for_its_schedule_alone(name, option, value):
    for each in CATALOGUE:
        same = torch.equal(each.sigmas(MODELS["VE"], 9, **{option: value}), each.sigmas(MODELS["VE"], 9))
        assert same is (each.name != name)


def test_one_name_means_one_option():
    """The node shows an option once, whoever has it."""
    seen: dict[str, Option] = {}
    for option in [*RANGE, *(option for each in CATALOGUE for option in each.options)]:
        assert seen.setdefault(option.name, option) == option
    assert len({each.name for each in CATALOGUE}) == len(CATALOGUE)
    assert entry("lab_angle") is entry("angle")


def test_pure_noise_is_a_number_where_the_spacing_needs_one():
    flow = MODELS["flow"]
    assert entry("angle").sigmas(flow, 4)[1] == pytest.approx(0.634, abs=1e-3)  # arctan from infinity: 60 degrees
    second = CONST.sigma_ve(entry("half_log_snr").sigmas(flow, 3).double())[1]
    assert second == pytest.approx((PURE_NOISE * CONST.sigma_ve(0.001)) ** 0.5, rel=1e-3)


def test_a_spacing_in_the_models_units_may_take_the_smallest_level():
    def linear(n, sigma_min, sigma_max):
        return torch.cat([torch.linspace(sigma_max, sigma_min, n), torch.zeros(1)])

    added = ScheduleEntry("linear", linear, in_model_units)
    assert added.sigmas(MODELS["flow"], 3, sigma_min=0.2).tolist() == pytest.approx([1.0, 0.6, 0.2, 0.0])
    assert added.options == ()


@pytest.mark.parametrize(
    ("schedule", "model", "options", "words"),
    [
        ("angle", "flow", {"sigma_max": 10.0}, "0 < sigma_min < sigma_max <= 1, for this is a flow model"),
        ("poly_rho", "VE", {"sigma_max": 1.0, "sigma_min": 2.0}, "sigma_min is 2 and sigma_max 1"),
        ("poly_rho", "VE", {"sigma_max": float("nan")}, "sigma_max is nan"),
        ("poly_rho", "VE", {"rho": 0}, "rho is 0; it must be a number between 0.1 and 100"),
    ],
)
def test_what_cannot_be_is_one_sentence(schedule, model, options, words):
    with pytest.raises(ValueError, match=words):
        entry(schedule).sigmas(MODELS[model], 4, **options)


def test_a_model_without_training_levels_and_a_name_that_nobody_has():
    with pytest.raises(ValueError, match="this model has none; choose another"):
        entry("trailing").sigmas(ModelLevels(VE, 0.03, 14.6), 4)
    with pytest.raises(ValueError, match="no schedule is called 'fastest'; choose one of poly_rho"):
        entry("fastest")
