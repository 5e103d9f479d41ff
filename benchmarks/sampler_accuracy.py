"""Accuracy of the multistep samplers on a flow model from pure noise, beside the host's functions, as Markdown.

``python3 lab.py bench sampler_accuracy``. The relative error of the last x to a fine solution of the same ODE, without
guidance: ours / the host's, with Euler to see what the second prediction is worth. Two problems: the exact Gaussian
mixture of ``tests/problems.py`` on every schedule that the host has and on ours, and the shipped Emoji prior as a flow
(``--images`` noises, one class each) on six of them. Bold: ours is more than 1 % worse than the host's.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from lab import import_pack

import_pack()
sys.path.insert(0, str(ROOT / "tests"))

from problems import PRIOR, GuidedModel
from sampler_lab.diffusion.parameterization import CONST
from sampler_lab.priors.classes import class_weights
from sampler_lab.priors.loader import load_emoji_prior
from sampler_lab.samplers import entry
from sampler_lab.schedulers import uniform_angle, uniform_half_log_snr

STEPS = (8, 12, 20, 40)
#: The schedules that flow models are used with, and ours.
COMMON = ("simple", "beta", "normal", "sgm_uniform", "karras", "lab_half_log_snr")
PAIRS = ("dpmpp_2m", "res_multistep")
#: The Emoji network's own limit; see priors/unet.py.
NETWORK_SIGMA_MAX = 80.0
CLASSES = ("face", "animal", "plant", "symbol")
#: The images that LONGEST_RATIO of samplers/slope.py was chosen on had seed 0.
SEED = 1
#: The mixture is free, the network is not; halving the network's reference moves it by 0.5 %.
REFERENCE_STEPS = {"mixture": 3000, "emoji": 300}
Denoiser = Callable[[torch.Tensor, float], torch.Tensor]


@dataclass(frozen=True)
class Problem:
    """A denoiser of a flow model D(x, sigma), pure noise, and where the exact ODE carries it."""

    denoise: Denoiser
    start: torch.Tensor
    solution: torch.Tensor


def load_host(path: str) -> ModuleType:
    """The host's ``comfy.k_diffusion.sampling``; ``comfy.samplers`` is imported beside it for its schedules."""
    sys.path.insert(0, path)
    given, sys.argv = sys.argv, sys.argv[:1]  # the host reads the command line when it is imported
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    import comfy.k_diffusion.sampling
    import comfy.samplers

    sys.argv = given
    return comfy.k_diffusion.sampling


def host_model_sampling() -> torch.nn.Module:
    """The host's model sampling of a flow model without a shift, as the Emoji prior has it."""
    import comfy.model_sampling as host

    return type("ModelSampling", (host.ModelSamplingDiscreteFlow, host.CONST), {})()


def levels(schedule: str, steps: int) -> torch.Tensor:
    """The schedule for the host's flow model, ``[steps + 1]`` in double precision."""
    import comfy.samplers

    model_sampling = host_model_sampling()
    ours = {"lab_half_log_snr": (uniform_half_log_snr, NETWORK_SIGMA_MAX), "lab_angle": (uniform_angle, math.inf)}
    if schedule not in ours:
        return comfy.samplers.calculate_sigmas(model_sampling, schedule, steps).double()
    function, high = ours[schedule]
    sigmas = CONST.sigma_from_ve(function(steps, CONST.sigma_ve(float(model_sampling.sigma_min)), high)).double()
    sigmas[0] = 1.0  # as schedulers/placing.py does
    return sigmas


def as_host_model(denoise: Denoiser) -> Callable[..., torch.Tensor]:
    """The denoiser as the host hands models to its samplers."""
    model_sampling = host_model_sampling()

    def model(x: torch.Tensor, sigma: torch.Tensor, **_: object) -> torch.Tensor:
        return denoise(x, float(sigma[0]))

    patcher = SimpleNamespace(get_model_object=lambda name: {"model_sampling": model_sampling}[name])
    model.inner_model = SimpleNamespace(
        inner_model=SimpleNamespace(model_sampling=model_sampling), model_patcher=patcher
    )
    return model


def solved(denoise: Denoiser, start: torch.Tensor, steps: int) -> torch.Tensor:
    """Heun's method from sigma = 1, even in the angle to sigma_ve = 0.001, then the prediction there."""
    sigmas = CONST.sigma_from_ve(uniform_angle(steps, 0.001, math.inf)).tolist()
    sigmas[0] = 1.0
    x = start
    for sigma, sigma_next in pairwise(sigmas[:-1]):
        slope = (x - denoise(x, sigma)) / sigma
        there = x + (sigma_next - sigma) * slope
        x = x + (sigma_next - sigma) / 2 * (slope + (there - denoise(there, sigma_next)) / sigma_next)
    return denoise(x, sigmas[-2])


def mixture() -> Problem:
    model = GuidedModel(CONST, PRIOR)

    def denoise(x: torch.Tensor, sigma: float) -> torch.Tensor:
        return model.predictions(x, x.new_full((len(x),), sigma))[0]

    start = torch.randn(64, 64, generator=torch.Generator().manual_seed(SEED), dtype=torch.float64)
    return Problem(denoise, start, solved(denoise, start, REFERENCE_STEPS["mixture"]))


def emoji(images: int) -> Problem:
    prior = load_emoji_prior()
    weights = torch.cat([class_weights(CLASSES[k % len(CLASSES)]).reshape(1, -1) for k in range(images)])

    @torch.no_grad()
    def denoise(x: torch.Tensor, sigma: float) -> torch.Tensor:
        capped = min(sigma, CONST.sigma_from_ve(NETWORK_SIGMA_MAX))
        level = torch.full((len(x),), CONST.sigma_ve(capped))
        return prior.denoiser(x.float() / (1 - capped), level, weights).double()

    start = torch.randn(images, 4, 16, 16, generator=torch.Generator().manual_seed(SEED)).double()
    return Problem(denoise, start, solved(denoise, start, REFERENCE_STEPS["emoji"]))


def error(sampler: Callable[..., torch.Tensor], problem: Problem, sigmas: torch.Tensor, **named: object) -> float:
    """||x - solution|| / ||solution|| of one run."""
    out = sampler(as_host_model(problem.denoise), problem.start, sigmas, {}, None, True, **named)
    return ((out - problem.solution).norm() / problem.solution.norm()).item()


def row(host: ModuleType, problem: Problem, schedule: str, steps: int) -> str:
    sigmas = levels(schedule, steps)
    cells = [f"{error(entry('euler').function, problem, sigmas, parameterization=CONST):.4f}"]
    for name in PAIRS:
        ours = error(entry(name).function, problem, sigmas, parameterization=CONST)
        theirs = error(getattr(host, f"sample_{name}"), problem, sigmas)
        shown = f"{ours:.4f}"
        cells.append(f"{f'**{shown}**' if ours > 1.01 * theirs else shown} / {theirs:.4f}")
    return f"| {schedule} | {steps} | {' | '.join(cells)} |"


def table(host: ModuleType, problem: Problem, schedules: tuple[str, ...]) -> None:
    """Printed line by line: the network takes its time."""
    print("| schedule | steps | euler | dpmpp_2m, ours / ComfyUI's | res_multistep, ours / ComfyUI's |")
    print("|---|---|---|---|---|")
    for schedule in schedules:
        for steps in STEPS:
            print(row(host, problem, schedule, steps), flush=True)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4, help="noises for the Emoji prior; 0 leaves it out")
    options = parser.parse_args(arguments)
    path = os.environ.get("COMFYUI_PATH")
    if not path:
        raise SystemExit(
            "COMFYUI_PATH is not set: run 'python3 lab.py bench sampler_accuracy', or name a ComfyUI folder in it."
        )
    host = load_host(path)
    import comfy.samplers

    others = tuple(name for name in comfy.samplers.SCHEDULER_NAMES if name not in COMMON)
    print("### Gaussian mixture\n")
    table(host, mixture(), (*COMMON, *others, "lab_angle"))
    if options.images:
        print("\n### Emoji prior as a flow\n")
        table(host, emoji(options.images), COMMON)


if __name__ == "__main__":
    main()
