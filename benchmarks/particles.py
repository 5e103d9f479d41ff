"""What particles cost: time and memory of an annealing step against their number, after pruning, and with repulsion.

``python3 lab.py bench particles``. Emoji prior, emoji_hmc; every round does all settings in an order that changes, and
gives one ratio each; the tables have the median and the middle half of the rounds. Memory is the peak of the phase: of
the allocator on a GPU, of the whole process elsewhere.

``--stable-diffusion`` adds a decoder of Stable Diffusion's size (random weights, 256 x 256, classes of the host): the
peak memory of one chain step of four particles, above what was there before, for each micro-batch.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lab import import_pack

import_pack()

from _machine import processor
from sampler_lab.instruments.memory import PeakMemory
from sampler_lab.instruments.record import RunRecord
from sampler_lab.operators import Measurement, PhaseRetrieval
from sampler_lab.posterior.autoencoder import Autoencoder
from sampler_lab.posterior.decoding import Decoding
from sampler_lab.posterior.interaction.features import PixelFeatures
from sampler_lab.posterior.interaction.repulsion import Repulsion
from sampler_lab.posterior.likelihood import Likelihood
from sampler_lab.posterior.method import Method
from sampler_lab.posterior.moves.pruning import Pruning
from sampler_lab.priors.held_out import load_glyph
from sampler_lab.priors.loader import EmojiPrior, load_emoji_prior
from sampler_lab.samplers.latent_daps import PRESETS, sample_latent_daps
from sampler_lab.schedulers import poly_rho

COUNTS = (1, 2, 4, 8, 16)
KEEP = 2
STEPS = 4  # a run: two steps, then two with what pruning left
METHOD = PRESETS["emoji_hmc"]
PUBLISHED_BYTES = 10.1e9  # four particles with the published code, 256 x 256 (recorded by its users, on an A10)


class Bench:
    """Runs of a few annealing steps on one measurement."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.prior: EmojiPrior = load_emoji_prior(device=device)
        self.measurement: Measurement = PhaseRetrieval().measure(load_glyph("tiger-face"), seed=1).to(device)
        self.sigmas = poly_rho(50, 0.05, 10.0)[: STEPS + 1].to(device)

    def run(self, particles: int, method: Method, feature_space: Callable | None = None) -> RunRecord:
        noise = torch.randn(particles, 4, 16, 16, generator=torch.Generator().manual_seed(0)).to(self.device)
        record = RunRecord()
        record.begin(options={}, seed=0, sigmas=self.sigmas.tolist(), particles=particles, device=self.device)
        sample_latent_daps(
            lambda x, sigma, **_: self.prior.denoiser(x, sigma),
            noise * self.sigmas[0],
            self.sigmas,
            extra_args={"seed": 0},
            disable=True,
            measurement=self.measurement,
            decoder=self.prior.decode,
            method=method,
            feature_space=feature_space,
            observer=record,
        )
        return record

    def seconds(self, particles: int, method: Method, feature_space: Callable | None = None) -> float:
        """Of one annealing step."""
        began = time.perf_counter()
        self.run(particles, method, feature_space)
        return (time.perf_counter() - began) / STEPS


def against_number(bench: Bench, rounds: int) -> list[str]:
    """Time and memory against N, and after pruning to KEEP."""
    times: dict[int, list[float]] = {n: [] for n in COUNTS}
    refined: dict[int, list[float]] = {n: [] for n in COUNTS if n > KEEP}
    memory: dict[int, tuple[float, float | None]] = {}
    for _ in range(rounds):
        for n in shuffled(COUNTS):
            pruning = Pruning(keep=KEEP, progress=0.5)
            facts = bench.run(n, replace(METHOD, moves=(pruning,))).to_dict()
            phases = {phase["name"]: phase for phase in facts["phases"]}
            steps = STEPS // 2 if "refine" in phases else STEPS
            times[n].append(phases["explore"]["wall_seconds"] / steps)
            after = None
            if "refine" in phases:
                refined[n].append(phases["refine"]["wall_seconds"] / steps)
                after = phases["refine"]["peak_memory_bytes"]
            memory[n] = (phases["explore"]["peak_memory_bytes"], after)
    one = times[1]
    lines = [
        f"| particles | s per step | against one | pruned to {KEEP}: s per step | against before | peak MB | after |",
        "|---|---|---|---|---|---|---|",
    ]
    for n in COUNTS:
        cells = [
            str(n),
            f"{statistics.median(times[n]):.3f}",
            spread([a / b for a, b in zip(times[n], one, strict=True)]),
        ]
        if n in refined:
            cells += [f"{statistics.median(refined[n]):.3f}"]
            cells += [spread([a / b for a, b in zip(refined[n], times[n], strict=True)])]
        else:
            cells += ["–", "–"]
        before, after = memory[n]
        cells += [megabytes(before), megabytes(after)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def repulsion_overhead(bench: Bench, rounds: int, particles: int = 4) -> list[str]:
    """A step with repulsion over a step without, in pairs."""
    repelled = replace(METHOD, estimate=METHOD.estimate.repelled(Repulsion(strength=0.04, sigma_break=0.01)))
    spaces = {"latent": None, "pixel": PixelFeatures(bench.prior.decode)}
    ratios: dict[str, list[float]] = {name: [] for name in spaces}
    for _ in range(rounds):
        for name, space in spaces.items():
            pair = {}
            for on in shuffled((True, False)):
                pair[on] = bench.seconds(particles, repelled if on else METHOD, space if on else None)
            ratios[name].append(pair[True] / pair[False])
    lines = [f"| feature space | step with repulsion / without, {particles} particles |", "|---|---|"]
    return [*lines, *(f"| {name} | {spread(values)} |" for name, values in ratios.items())]


def stable_diffusion_memory(device: torch.device, particles: int = 4) -> list[str]:
    """Peak memory of a chain step with a decoder of Stable Diffusion's size at 256 x 256, per micro-batch."""
    host = os.environ.get("COMFYUI_PATH")
    if not host:
        raise SystemExit("--stable-diffusion takes the decoder's classes from a ComfyUI; set COMFYUI_PATH.")
    sys.path.insert(0, host)
    import comfy.cli_args

    comfy.cli_args.args.cpu = device.type != "cuda"
    from comfy.ldm.models.autoencoder import AutoencoderKL

    shape = {"double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128}
    shape |= {"ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0}
    torch.manual_seed(0)
    autoencoder = AutoencoderKL(embed_dim=4, ddconfig=shape).to(device).eval().requires_grad_(False)
    for parameter in autoencoder.parameters():
        parameter.copy_(0.02 * torch.randn_like(parameter))
    image = torch.zeros(1, 3, 256, 256)
    measurement = PhaseRetrieval().measure(image, seed=0).to(device)
    size = sum(parameter.nbytes for parameter in autoencoder.decoder.parameters())
    lines = [
        f"Decoder of {size / 1e6:.0f} MB in single precision; published code, everything included: "
        f"{PUBLISHED_BYTES / 1e9:.1f} GB.",
        "",
        "| particles | micro-batch | peak GB of a chain step | s per chain step |",
        "|---|---|---|---|",
    ]
    z = torch.randn(particles, 4, 32, 32, generator=torch.Generator().manual_seed(0)).to(device)
    for micro_batch in (1, 2, particles):
        likelihood = Likelihood(measurement, Autoencoder(autoencoder.decode, decoding=Decoding(micro_batch, "full")))
        with PeakMemory(device) as memory:
            before = memory.so_far() or 0
            began = time.perf_counter()
            likelihood.residual_and_gradient(z)
            seconds = time.perf_counter() - began
        peak = (memory.bytes or 0) - (0 if device.type == "cuda" else before)
        lines.append(f"| {particles} | {micro_batch} | {peak / 1e9:.2f} | {seconds:.1f} |")
    return lines


def shuffled(items: Iterable[Any]) -> list[Any]:
    return random.sample(list(items), len(items))


def spread(values: list[float]) -> str:
    """Median and middle half."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.3f} ({low:.3f}–{high:.3f})"


def megabytes(value: float | None) -> str:
    return "–" if value is None else f"{value / 1e6:.0f}"


def machine(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rounds", type=int, default=9, help="rounds of every setting, three times as many of repulsion (default: 9)"
    )
    parser.add_argument("--stable-diffusion", action="store_true", help="measure a decoder of Stable Diffusion's size")
    options = parser.parse_args()
    if options.rounds < 2:
        parser.error("--rounds must be 2 or more: a ratio without its spread says little")
    random.seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bench = Bench(device)
    bench.run(2, METHOD)  # what is done once is done before
    print(
        f"{machine(device)}, torch {torch.__version__}, {torch.get_num_threads()} threads, {options.rounds} rounds.\n"
    )
    print("## Time and memory against the number of particles\n")
    print("\n".join(against_number(bench, options.rounds)))
    print("\n## Overhead of repulsion\n")
    print("\n".join(repulsion_overhead(bench, 3 * options.rounds)))
    if options.stable_diffusion:
        print("\n## A decoder of Stable Diffusion's size, 256 x 256\n")
        print("\n".join(stable_diffusion_memory(device)))


if __name__ == "__main__":
    main()
