"""Orders and constants of the samplers on exact problems, as Markdown. ``python3 lab.py bench samplers`` shows it.

Three tables, all without a network (``tests/problems.py``):

1. The error of deterministic samplers on a Gaussian mixture against an integration to 1e-12, at few and at many steps,
   with the order (the slope from 64 to 512 steps) and the constant (error·steps^order at 512).
2. The variance that stochastic samplers give a Gaussian prior, computed exactly (``exact_moments`` of the tests).
3. What CFG++ does to the step count: D != u has no ODE to converge to, the guidance grows with the number of steps.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from lab import import_pack

import_pack()
sys.path.insert(0, str(ROOT / "tests"))

from problems import CONST, GUIDED, PRIOR, VE, GuidedModel, reference_solution
from sampler_lab.samplers import CATALOGUE, SamplerEntry, entry
from sampler_lab.schedulers import poly_rho

SIGMA_END = 0.05
STEPS = (8, 16, 32, 64, 128, 256, 512)
SHOWN = (8, 16, 32, 128, 512)
X = torch.randn(64, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def grids() -> dict[str, tuple]:
    """Name to (parameterization, number of steps -> levels)."""
    return {
        "VE, even in log sigma from 10": (
            VE,
            lambda n: torch.logspace(1, math.log10(SIGMA_END), n + 1, dtype=torch.float64),
        ),
        "VE, rho 7 from 14.6": (VE, lambda n: poly_rho(n + 1, 0.03, 14.6, end_at_zero=False).double()),
        "flow, even in sigma from 1": (CONST, lambda n: torch.linspace(1, SIGMA_END, n + 1, dtype=torch.float64)),
    }


def variants() -> list[tuple[str, SamplerEntry, dict]]:
    """Every deterministic way to run a plain sampler."""
    found = [(e.name, e, dict(e.noiseless)) for e in CATALOGUE if not e.cfg_pp]
    er_sde = entry("er_sde")
    return [
        *found,
        ("gradient_estimation, gamma 1.5", entry("gradient_estimation"), {"ge_gamma": 1.5}),
        ("dpmpp_2m, heun", entry("dpmpp_2m"), {"solver_type": "heun"}),
        ("er_sde, 2 stages", er_sde, {"solver_type": "ode", "max_stage": 2}),
    ]


def deterministic() -> str:
    lines = []
    for title, (parameterization, grid) in grids().items():
        model = GuidedModel(parameterization, PRIOR)
        first, last = float(grid(2)[0]), float(grid(2)[-1])
        exact = reference_solution(model, X * first, first, last)
        lines += [
            f"### {title}",
            "",
            f"| sampler | {' | '.join(f'{n} steps' for n in SHOWN)} | order | constant |",
            "|---|" + "---|" * (len(SHOWN) + 2),
        ]
        for name, sampler, options in variants():
            errors = {}
            for n in STEPS:
                out = sampler.function(model, X * first, grid(n), disable=True, **options)
                errors[n] = (out - exact).square().mean().sqrt().item()
            order = math.log2(errors[64] / errors[512]) / 3
            shown = " | ".join(f"{errors[n]:.1e}" for n in SHOWN)
            lines.append(f"| {name} | {shown} | {order:.2f} | {errors[512] * 512**sampler.order:.2g} |")
        lines.append("")
    return "\n".join(lines)


def load_tests(name: str) -> ModuleType:
    """A test module, for the exact computation in it."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tests" / "samplers" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stochastic() -> str:
    tests = load_tests("test_stochastic")
    steps = (10, 20, 40, 80, 160)
    lines = [
        "Variance of a Gaussian prior (deviation 0.5) over the exact one, minus 1; eta = 1.",
        "",
        f"| sampler | model | {' | '.join(f'{n} steps' for n in steps)} |",
        "|---|---|" + "---|" * len(steps),
    ]
    cases = [(e.name, e, {}) for e in CATALOGUE if e.stochastic and not e.cfg_pp]
    cases.append(("er_sde, reverse_sde", entry("er_sde"), {"solver_type": "reverse_sde"}))
    for name, sampler, options in cases:
        for parameterization in (VE, CONST):
            off = []
            for n in steps:
                sigmas = tests.levels(parameterization, n)
                _, variance = tests.exact_moments(sampler.function, parameterization, sigmas, **options)
                off.append(variance / tests.marginal(parameterization, sigmas[-1])[1] ** 2 - 1)
            lines.append(f"| {name} | {parameterization.name} | {' | '.join(f'{v:+.1e}' for v in off)} |")
    return "\n".join(lines)


def guided() -> str:
    """How far CFG++ carries the result from the unconditional one, by the number of steps."""
    steps = (8, 16, 32, 64, 128)
    lines = [
        "Mean distance of the guided result from the unguided one, CFG++ scale 0.6, VE, rho 7.",
        "",
        f"| sampler | {' | '.join(f'{n} steps' for n in steps)} |",
        "|---|" + "---|" * len(steps),
    ]
    cases = [(e.name, e, dict(e.noiseless)) for e in CATALOGUE if e.cfg_pp]
    cases.append(("dpmpp_2m_cfg_pp, unconditional", entry("dpmpp_2m_cfg_pp"), {"higher_order_term": "unconditional"}))
    for name, sampler, options in cases:
        shift = []
        for n in steps:
            sigmas = poly_rho(n, 0.03, 14.6).double()
            x = X * sigmas[0]
            result = [
                sampler.function(GuidedModel(VE, cond, PRIOR, 0.6), x, sigmas, disable=True, **options)
                for cond in (GUIDED, PRIOR)
            ]
            shift.append((result[0] - result[1]).abs().mean().item())
        lines.append(f"| {name} | {' | '.join(f'{v:.3f}' for v in shift)} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args(arguments)
    print(f"## Deterministic samplers: error and order\n\n{deterministic()}")
    print(f"## Stochastic samplers: variance\n\n{stochastic()}\n")
    print(f"## CFG++: guidance by number of steps\n\n{guided()}")


if __name__ == "__main__":
    main()
