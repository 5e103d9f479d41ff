"""Slopes in a run from pure noise: the variable, how far, the order, and the accuracy beside the host's functions."""

from __future__ import annotations

import importlib.util
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest
import torch
from problems import CONST, GUIDED, PRIOR, VE, GuidedModel, reference_solution
from sampler_lab.samplers import entry
from sampler_lab.samplers.slope import LONGEST_RATIO
from sampler_lab.samplers.steps import PURE_NOISE, plan

ROOT = Path(__file__).resolve().parents[2]
MULTISTEP = pytest.mark.parametrize("name", ["dpmpp_2m", "res_multistep"])
X = torch.randn(4, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture(scope="module")
def accuracy(comfyui) -> ModuleType:
    """The benchmark, with the host imported; ``sys.path`` is put back."""
    path = list(sys.path)
    spec = importlib.util.spec_from_file_location("sampler_accuracy", ROOT / "benchmarks" / "sampler_accuracy.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.HOST = module.load_host(str(comfyui))
    sys.path[:] = path
    return module


@pytest.fixture(scope="module")
def mixture(accuracy):
    return accuracy.mixture()


@MULTISTEP
@pytest.mark.parametrize("schedule", ["simple", "beta", "normal", "sgm_uniform", "karras", "lab_half_log_snr"])
def test_on_a_flow_model_it_is_at_least_as_good_as_the_hosts(accuracy, mixture, name, schedule):
    for steps in (8, 12, 20, 40):
        sigmas = accuracy.levels(schedule, steps)
        ours = accuracy.error(entry(name).function, mixture, sigmas, parameterization=CONST)
        theirs = accuracy.error(getattr(accuracy.HOST, f"sample_{name}"), mixture, sigmas)
        assert ours <= 1.01 * theirs, (steps, ours, theirs)


@MULTISTEP
def test_where_steps_grow_slowly_it_is_the_hosts_form(accuracy, mixture, name):
    """Below the limit of the ratio both take the slope in -log sigma of the flow."""
    sigmas = accuracy.levels("karras", 40)
    model = accuracy.as_host_model(mixture.denoise)
    theirs = getattr(accuracy.HOST, f"sample_{name}")(model, mixture.start, sigmas, {}, None, True)
    found = entry(name).function(model, mixture.start, sigmas, {}, None, True, parameterization=CONST)
    assert torch.allclose(found, theirs, rtol=1e-9, atol=1e-9)


@MULTISTEP
@pytest.mark.parametrize("suffix", ["", "_cfg_pp"])
def test_from_pure_noise_too_the_trajectory_is_one_on_ve_and_flow(name, suffix):
    s = torch.tensor([2e5, 30.0, 6.0, 2.0, 0.8, 0.2, 0.0], dtype=torch.float64)
    assert s[0] >= PURE_NOISE
    out = []
    for parameterization in (VE, CONST):
        sigmas = parameterization.sigma_from_ve(s)
        model = GuidedModel(parameterization, GUIDED, PRIOR, 0.6)
        out.append(entry(name + suffix).function(model, X * sigmas[0], sigmas, disable=True))
    assert torch.allclose(out[0], out[1], rtol=1e-6, atol=1e-6)
    # ... and it is not the trajectory of the published slope.
    assert plan(s, VE)[1].length != pytest.approx(plan(s, VE)[1].h, rel=0.1)


def test_the_step_written_out():
    """2M from pure noise in the flow's own coordinates, where t is sigma."""
    sigmas = torch.tensor([1.0, 0.95, 0.7, 0.4, 0.1, 0.0], dtype=torch.float64)
    model = GuidedModel(CONST, PRIOR)
    x, D_last, length_last, ratios = X, None, None, []
    for sigma, sigma_next in pairwise(sigmas):
        D, _ = model.predictions(x, sigma.expand(len(x)))
        length = (sigma / sigma_next).log()
        between = D
        if D_last is not None and sigma_next > 0:
            ratios.append(float(length / length_last))
            between = D + min(ratios[-1], LONGEST_RATIO) / 2 * (D - D_last)
        x = sigma_next / sigma * x + (1 - sigma_next / sigma) * between
        D_last, length_last = D, length
    assert min(ratios) > LONGEST_RATIO or any(ratio > LONGEST_RATIO for ratio in ratios)
    found = entry("dpmpp_2m").function(model, X, sigmas, disable=True)
    assert torch.allclose(found, x, rtol=1e-10, atol=1e-10)


@MULTISTEP
def test_second_order_from_pure_noise_on_uneven_levels(name):
    """The limit of the ratio acts where a level is out of line, which is one step however many there are."""

    def levels(n):
        coarse = torch.linspace(1, 0.6, n + 1, dtype=torch.float64)
        return torch.cat([coarse, torch.linspace(0.6, 0.05, n // 2 + 1, dtype=torch.float64)[1:]])

    model = GuidedModel(CONST, PRIOR)
    exact = reference_solution(model, X, 1.0, 0.05)
    steps = (64, 128, 256, 512)
    off = [(entry(name).function(model, X, levels(n), disable=True) - exact).square().mean().sqrt() for n in steps]
    order = torch.stack(off[:-1]).div(torch.stack(off[1:])).log2()
    assert order.mean() == pytest.approx(2, abs=0.2)


def test_runs_from_a_finite_level_take_the_published_slope():
    for parameterization, first in ((VE, 14.6), (VE, 4518.0), (CONST, 0.999), (CONST, 0.5)):
        steps = plan(torch.tensor([first, first / 2, first / 4, 0.0], dtype=torch.float64), parameterization)
        assert not any(step.from_pure_noise for step in steps)
        assert [step.length for step in steps] == [step.h for step in steps]
