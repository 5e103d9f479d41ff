"""Schedules against their definitions, closed forms, and the host's own where it has the same."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from problems import CONST, PRIOR, VE, GuidedModel, reference_solution
from sampler_lab.samplers import sample_euler
from sampler_lab.schedulers import (
    equal_error,
    linear_quadratic,
    poly_rho,
    trailing,
    uniform_angle,
    uniform_half_log_snr,
)

RANGED = pytest.mark.parametrize("schedule", [poly_rho, uniform_half_log_snr, uniform_angle], ids=lambda f: f.__name__)


@RANGED
@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_ends_length_and_fall(schedule, n):
    sigmas = schedule(n, 0.03, 14.6)
    assert sigmas.dtype == torch.float32
    assert sigmas.shape == (n + 1,)
    assert sigmas[0] == torch.tensor(14.6)
    assert sigmas[-1] == 0
    assert n == 1 or sigmas[-2] == torch.tensor(0.03)
    assert (sigmas[1:] < sigmas[:-1]).all()
    assert torch.equal(schedule(n, 0.03, 14.6, end_at_zero=False), sigmas[:-1])


@pytest.mark.parametrize(
    ("schedule", "coordinate"),
    [
        (lambda n, a, b: poly_rho(n, a, b, rho=7), lambda s: s ** (1 / 7)),
        (lambda n, a, b: poly_rho(n, a, b, rho=1), lambda s: s),
        (uniform_half_log_snr, VE.half_log_snr),
        (uniform_angle, torch.atan),
    ],
    ids=["rho 7", "rho 1", "half log-SNR", "angle"],
)
def test_even_in_its_coordinate(schedule, coordinate):
    steps = coordinate(schedule(20, 0.03, 14.6)[:-1].double()).diff()
    assert torch.allclose(steps, steps[:1], rtol=1e-4)


def test_angle_can_start_at_a_flows_pure_noise():
    sigmas = CONST.sigma_from_ve(uniform_angle(5, 0.01, math.inf))
    assert sigmas[0] == 1
    assert torch.isfinite(sigmas).all()
    assert (sigmas[1:] < sigmas[:-1]).all()


@RANGED
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, 0.1, 1.0), "steps is 0"),
        ((5, 0.0, 1.0), "choose 0 < sigma_min < sigma_max"),
        ((5, 2.0, 1.0), "choose 0 < sigma_min < sigma_max"),
        ((5, 0.1, math.nan), "choose 0 < sigma_min < sigma_max"),
    ],
)
def test_impossible_ranges(schedule, arguments, words):
    with pytest.raises(ValueError, match=words):
        schedule(*arguments)


@pytest.mark.parametrize("schedule", [poly_rho, uniform_half_log_snr])
def test_infinite_start_is_refused_where_it_means_nothing(schedule):
    with pytest.raises(ValueError, match="sigma_max is infinite"):
        schedule(5, 0.1, math.inf)


def test_poly_rho_needs_a_positive_rho():
    with pytest.raises(ValueError, match="rho is 0"):
        poly_rho(5, 0.1, 1.0, rho=0)


@pytest.mark.parametrize(("n", "linear"), [(10, None), (9, None), (20, 4), (2, 1)])
def test_linear_quadratic_is_smooth_where_its_parts_meet(n, linear):
    sigmas = linear_quadratic(n, threshold=0.025, linear_steps=linear).double()
    steps = -sigmas.diff()
    count = linear or n // 2
    assert sigmas[0] == 1
    assert sigmas[-1] == 0
    assert sigmas[count] == pytest.approx(1 - 0.025, abs=1e-6)
    assert torch.allclose(steps[:count], torch.tensor(0.025 / count).double(), atol=1e-6)
    second = steps[count:].diff()
    assert (second > 0).all()
    assert torch.allclose(second, second[:1], atol=1e-6)


def test_linear_quadratic_of_one_step_and_another_scale():
    assert linear_quadratic(1, 14.6).tolist() == pytest.approx([14.6, 0.0])
    assert torch.allclose(linear_quadratic(8, 14.6), 14.6 * linear_quadratic(8))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n": 0}, "steps is 0"),
        ({"n": 8, "threshold": 0.5}, "between 0 and 0.5"),
        ({"n": 8, "threshold": 0.0}, "threshold is 0.0; it must be a number between 0.0001 and 0.5"),
        ({"n": 8, "linear_steps": 8}, "linear_steps is 8"),
        ({"n": 8, "sigma_max": -1.0}, "sigma_max is -1"),
    ],
)
def test_impossible_linear_quadratic(arguments, words):
    with pytest.raises(ValueError, match=words):
        linear_quadratic(**arguments)


def test_trailing_counts_back_from_the_last_level():
    levels = torch.arange(1, 1001).float()
    assert trailing(4, levels).tolist() == [1000, 750, 500, 250, 0]
    assert trailing(3, levels).tolist() == [1000, 667, 333, 0]
    assert trailing(1000, levels).tolist() == [*range(1000, 0, -1), 0]


def test_trailing_names_what_is_wrong():
    with pytest.raises(ValueError, match="trained on 3 levels"):
        trailing(4, torch.tensor([0.1, 0.2, 0.3]))
    with pytest.raises(ValueError, match="rising order"):
        trailing(2, torch.tensor([0.3, 0.2, 0.1]))


def record(parameterization, x, sigmas):
    """Levels and predictions of an Euler run."""
    steps = []
    sample_euler(GuidedModel(parameterization, PRIOR), x, sigmas, None, steps.append, True)
    return torch.stack([s["sigma"] for s in steps]), torch.stack([s["denoised"] for s in steps])


def flow_grid(n):
    return torch.linspace(1, 0.05, n + 1, dtype=torch.float64)


def ve_grid(n):
    return torch.logspace(math.log10(14.6), math.log10(0.05), n + 1, dtype=torch.float64)


@pytest.mark.parametrize(("parameterization", "grid"), [(CONST, flow_grid), (VE, ve_grid)], ids=["CONST", "VE"])
def test_equal_error_gives_equal_errors(parameterization, grid):
    x = torch.randn(64, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * grid(1)[0]
    sigmas, denoised = record(parameterization, x, grid(200))
    levels = equal_error(12, sigmas, denoised, floor=1e-6)[:-1].double()
    model = GuidedModel(parameterization, PRIOR)

    def local_errors(levels):
        """Of each Euler step alone, from the exact path."""
        found = []
        for a, b in pairwise(levels):
            start = reference_solution(model, x, float(grid(1)[0]), float(a)) if a < grid(1)[0] else x
            exact = reference_solution(model, start, float(a), float(b))
            step = sample_euler(model, start, torch.stack([a, b]), disable=True)
            found.append((step - exact).square().mean().sqrt())
        return torch.stack(found)

    spaced, even = local_errors(levels), local_errors(grid(11))
    assert spaced.max() / spaced.min() < 1.3
    assert even.max() / even.min() > 2
    assert spaced.max() < even.max()


def test_equal_error_ends_where_the_record_does():
    sigmas = torch.tensor([1.0, 0.7, 0.5, 0.2, 0.1])
    levels = equal_error(9, sigmas, torch.tensor([0.0, 0.0, 1.0, 1.0, 1.5])[:, None])
    assert levels.shape == (10,)
    assert levels[0] == 1
    assert levels[-2] == torch.tensor(0.1)
    assert levels[-1] == 0
    assert (levels[1:] < levels[:-1]).all()
    assert equal_error(1, sigmas, torch.zeros(5, 2)).tolist() == [1.0, 0.0]


def test_a_path_without_curvature_is_spaced_evenly_in_root_sigma():
    sigmas = torch.tensor([4.0, 2.0, 1.0])
    root = equal_error(5, sigmas, torch.zeros(3, 2))[:-1].sqrt().diff()
    assert torch.allclose(root, root[:1], rtol=1e-5)


@pytest.mark.parametrize(
    ("sigmas", "denoised", "floor", "words"),
    [
        ([1.0, 0.5], [0.0, 0.0], 0.1, "record at least 3"),
        ([1.0, 0.5, 0.2], [0.0, 0.0], 0.1, "3 sigmas and 2 predictions"),
        ([1.0, 0.5, 0.0], [0.0, 0.0, 0.0], 0.1, "leave out the final 0"),
        ([0.5, 1.0, 0.2], [0.0, 0.0, 0.0], 0.1, "must fall"),
        ([1.0, 0.5, 0.2], [0.0, math.nan, 0.0], 0.1, "NaN"),
        ([1.0, 0.5, 0.2], [0.0, 0.0, 0.0], 0.0, "floor is 0"),
    ],
)
def test_impossible_trajectories(sigmas, denoised, floor, words):
    with pytest.raises(ValueError, match=words):
        equal_error(4, torch.tensor(sigmas), torch.tensor(denoised)[:, None], floor)
