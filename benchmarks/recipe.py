"""The recipe for phase retrieval beside what it has to beat. Run it with ``python3 lab.py bench recipe``.

Every method gets the same measurement, one after another on one thread, so that their seconds of processor time can be
compared. What is measured is written after every picture; started again with the same file, only what is missing is
done. Methods, by name (``--methods recipe,langevin``):

* recipe; recipe-8, recipe-64, ...: with so many attempts; no_class: not told what the picture shows;
* without_NAME: the recipe without one of its parts (``--methods ablations`` is all of them);
* langevin, hmc, daps_official: LatentDAPS with four particles; gaussian: langevin without the network;
* hio, raar: classical methods, restarted for as many iterations as ``--restarts`` says.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lab import import_pack

import_pack()

from _baselines import picture_of_the_workflow
from _machine import processor
from sampler_lab.instruments.calls import Calls
from sampler_lab.instruments.metrics_file import write_json
from sampler_lab.instruments.runs.comparison import mean_interval
from sampler_lab.instruments.runs.table import Table, mean_cell, rate
from sampler_lab.metrics import mean_of, quality_table
from sampler_lab.metrics.blind_choice import blind_order
from sampler_lab.metrics.intervals import wilson_interval
from sampler_lab.operators import Measurement, PhaseRetrieval
from sampler_lab.operators.classical.hybrid_input_output import best_channels, hybrid_input_output
from sampler_lab.operators.classical.raar import relaxed_reflections
from sampler_lab.operators.noise import GaussianNoise
from sampler_lab.posterior.data_steps.in_stages import InStages
from sampler_lab.posterior.method import Method
from sampler_lab.posterior.moves.blind_choice import BlindChoice
from sampler_lab.posterior.moves.off_decoder import OffDecoder
from sampler_lab.posterior.moves.pruning import Pruning
from sampler_lab.priors.classes import class_weights
from sampler_lab.priors.held_out import Glyph, glyph_set
from sampler_lab.priors.loader import EmojiPrior, load_emoji_prior
from sampler_lab.samplers.latent_daps import PRESETS, sample_latent_daps
from sampler_lab.samplers.phase_retrieval import CALIBRATIONS, Calibration, recipe, reconstruct
from sampler_lab.schedulers import poly_rho

SETS = {"development": "development", "confirm": "confirmation", "reserve": "reserve"}
PAGE = Path(__file__).resolve().parent.parent / "docs" / "recipe.md"
EFFORT = 16
LATENT = (4, 16, 16)


@dataclass(frozen=True)
class Problem:
    """One glyph, its measurement, and what solvers are told."""

    glyph: Glyph
    truth: torch.Tensor
    measurement: Measurement
    prior: EmojiPrior
    seed: int
    restarts: int

    def denoise(self, x: torch.Tensor, sigma: torch.Tensor, told: bool = True, **_: Any) -> torch.Tensor:
        """D(x; sigma) with the glyph's class, or without."""
        return self.prior.denoiser(x, sigma, class_weights(self.glyph.klass) if told else None)

    def denoise_untold(self, x: torch.Tensor, sigma: torch.Tensor, **_: Any) -> torch.Tensor:
        """Without the class."""
        return self.denoise(x, sigma, told=False)


@dataclass(frozen=True)
class Found:
    """pictures ``[K, 3, 64, 64]`` in [-1, 1], the one that is chosen first."""

    pictures: torch.Tensor
    calls: Calls


Solver = Callable[[Problem], Found]


def with_recipe(method: Method | None = None, effort: int = EFFORT, told: bool = True) -> Solver:
    """The recipe, or a method on its levels."""

    def solve(problem: Problem) -> Found:
        calls = Calls()
        made = reconstruct(
            problem.denoise if told else problem.denoise_untold,
            problem.measurement,
            problem.prior.decode,
            problem.prior.encode,
            LATENT,
            effort,
            problem.seed,
            method=method,
            observer=calls,
        )
        return Found(made.pictures, calls)

    return solve


def with_latent_daps(preset: str, network: bool = True) -> Solver:
    """Four particles of LatentDAPS; with N(0, 1) in place of the network where there is none."""
    official = preset.startswith("daps_official")
    sigmas = poly_rho(50, 0.1 if official else 0.05, 10.0, drop_sigma_min=official)

    def gaussian(x: torch.Tensor, sigma: torch.Tensor, **_: Any) -> torch.Tensor:
        return x / (1 + sigma.reshape(-1, 1, 1, 1) ** 2)

    def solve(problem: Problem) -> Found:
        calls = Calls()
        start = torch.randn(4, *LATENT, generator=torch.manual_seed(problem.seed)) * sigmas[0]
        latents = sample_latent_daps(
            problem.denoise if network else gaussian,
            start,
            sigmas,
            {"seed": problem.seed},
            disable=True,
            measurement=problem.measurement,
            decoder=problem.prior.decode,
            method=PRESETS[preset],
            observer=calls,
        )
        with torch.no_grad():
            pictures = problem.prior.decode(latents).clamp(-1, 1)
        return Found(pictures[blind_order(problem.measurement.residual(pictures))], calls)

    return solve


def with_projections(project: Callable[..., torch.Tensor]) -> Solver:
    """A classical method: one picture of its best channels, then the best restarts."""

    def solve(problem: Problem) -> Found:
        every = project(problem.measurement, restarts=problem.restarts, seed=problem.seed)
        best = every[problem.measurement.residual(every).argsort()[:3]]
        pictures = torch.cat([best_channels(every, problem.measurement), best])
        return Found(pictures[blind_order(problem.measurement.residual(pictures))], Calls())

    return solve


def ablations() -> dict[str, Method]:
    """The recipe without each of its parts."""
    c = CALIBRATIONS["emoji_64"]
    whole = recipe(EFFORT, c)

    def pixels(**changes: Any) -> Calibration:
        return replace(c, search=replace(c.search, **changes), refine=replace(c.refine, **changes))

    flat = replace(pixels(flat_share=1.0), fit=replace(c.fit, flat_share=1.0))
    kinds = {"pruning": Pruning, "off_decoder": OffDecoder, "blind_choice": BlindChoice}
    methods = {
        "without_edge_map": recipe(EFFORT, flat),
        "without_feedback": recipe(EFFORT, pixels(feedback=0.0)),
        "without_joint_fit": replace(whole, data_step=_first_of(whole)),
        "without_refinement": recipe(EFFORT, replace(c, refine=c.search)),
    }
    for name, kind in kinds.items():
        left = tuple(move for move in whole.moves if not isinstance(move, kind))
        methods[f"without_{name}"] = replace(whole, moves=left)
    return methods


def _first_of(whole: Method) -> InStages:
    step = whole.data_step
    assert isinstance(step, InStages)
    return replace(step, then=step.first.then if isinstance(step.first, InStages) else step.first)


def solver(name: str) -> Solver:
    """The method of this name. Raises ``SystemExit`` for an unknown one."""
    if name == "recipe":
        return with_recipe()
    if name.startswith("recipe-") and name[7:].isdigit():
        return with_recipe(effort=int(name[7:]))
    if name == "no_class":
        return with_recipe(told=False)
    if name in (known := ablations()):
        return with_recipe(known[name])
    simple: dict[str, Callable[[], Solver]] = {
        "langevin": lambda: with_latent_daps("emoji_langevin"),
        "hmc": lambda: with_latent_daps("emoji_hmc"),
        "daps_official": lambda: with_latent_daps("daps_official"),
        "gaussian": lambda: with_latent_daps("emoji_langevin", network=False),
        "hio": lambda: with_projections(hybrid_input_output),
        "raar": lambda: with_projections(relaxed_reflections),
    }
    if name not in simple:
        raise SystemExit(f"There is no method {name}; there are recipe, no_class, {', '.join([*simple, *known])}.")
    return simple[name]()


def solved(problem: Problem, name: str, glyph_set_name: str) -> dict[str, Any]:
    """What the file says of one picture and one method."""
    solve = solver(name)
    wall, processor_time = time.perf_counter(), time.process_time()
    found = solve(problem)
    processor_time, wall = time.process_time() - processor_time, time.perf_counter() - wall
    table = quality_table(found.pictures, problem.truth, problem.measurement, choose=lambda _: 0)
    chosen = table.rows[0]
    aligned = [row.aligned.psnr for row in table.rows]
    row = {
        "name": problem.glyph.name,
        "set": glyph_set_name,
        "retired": problem.glyph.retired,
        "method": name,
        "seed": problem.seed,
        "blind": chosen.aligned.psnr,
        "blind_raw": chosen.raw.psnr,
        "oracle": max(aligned),
        "mean": sum(aligned) / len(aligned),
        "ssim": chosen.aligned.ssim,
        "flat": table.flat_psnr,
        "ceiling": ceiling(problem),
        "residual": chosen.residual_ratio,
        "calls": vars(found.calls).copy(),
        "cpu_seconds": processor_time,
        "seconds": wall,
    }
    return {**row, "success": success(row)}


@torch.no_grad()
def ceiling(problem: Problem) -> float:
    """PSNR in dB of what the autoencoder makes of the truth itself."""
    made = problem.prior.decode(problem.prior.encode(problem.truth)).clamp(-1, 1)
    return float(-10 * ((made - problem.truth) / 2).square().mean().log10())


def summary(images: Sequence[dict[str, Any]], title: str) -> Table:
    """One row per method over these images."""
    rows = []
    for name in dict.fromkeys(row["method"] for row in images):
        own = [row for row in images if row["method"] == name]
        calls = own[0]["calls"]
        rows.append(
            [
                name,
                str(len(own)),
                mean_cell((row["blind"] for row in own), 2),
                mean_cell((row["oracle"] for row in own), 2),
                rate([success(row) for row in own]),
                rate([row["blind_raw"] > 20 and success(row) for row in own]),
                f"{calls['denoiser']:,}",
                f"{calls['decoder_forward']:,} + {calls['decoder_backward']:,}",
                f"{calls['encoder']:,}",
                mean_cell((row["cpu_seconds"] for row in own), 1),
            ]
        )
    head = ["method", "pictures", "blind (dB)", "oracle (dB)", "success", "upright success", "denoiser"]
    head += ["decoder", "encoder", "CPU (s)"]
    ceilings = mean_of({row["name"]: row["ceiling"] for row in images}.values()).text(2)
    flats = mean_of({row["name"]: row["flat"] for row in images}.values()).text(2)
    pale = len({row["name"] for row in images if row["flat"] > 24})
    notes = [
        f"Aligned PSNR; success: blind choice above 20 dB and 5 dB above a flat picture (2 dB where that is above "
        f"24 dB: {pale} of them), with its 95 % interval (Wilson); upright: as it is, not aligned. Autoencoder's "
        f"ceiling {ceilings} dB, a flat picture {flats} dB."
    ]
    return Table("recipe", title, head, rows, notes)


def paired(images: Sequence[dict[str, Any]], title: str) -> Table:
    """Every method against the first one, picture by picture."""
    names = list(dict.fromkeys(row["method"] for row in images))
    by_key = {(row["method"], row["name"], row["seed"]): row for row in images}
    rows = []
    for name in names[1:]:
        pairs = [
            (row, other)
            for (method, glyph, seed), row in by_key.items()
            if method == names[0] and (other := by_key.get((name, glyph, seed))) is not None
        ]
        if not pairs:
            continue
        gains = [row["blind"] - other["blind"] for row, other in pairs]
        ratios = [row["cpu_seconds"] / max(other["cpu_seconds"], 1e-9) for row, other in pairs]
        better = sum(gain > 0 for gain in gains)
        low, high = wilson_interval(better, len(gains))
        rows.append(
            [
                name,
                str(len(pairs)),
                _with_interval(gains, "+"),
                f"{better}/{len(gains)} ({low:.0%}–{high:.0%})",
                _with_interval(ratios, ""),
            ]
        )
    head = [f"{names[0]} against", "pictures", "gain, blind (dB)", "better on", "CPU seconds, ratio"]
    return Table("paired", title, head, rows, ["Means of paired differences and ratios with their 95 % interval."])


def _with_interval(values: Sequence[float], sign: str) -> str:
    if len(values) < 2:
        return f"{values[0]:{sign}.2f}"
    low, high = mean_interval(values)
    return f"{sum(values) / len(values):{sign}.2f} ({low:{sign}.2f} to {high:{sign}.2f})"


def success(row: dict[str, Any]) -> bool:
    """Above 20 dB and 5 dB above a flat picture; 2 dB are enough above one that is beyond 24 dB itself."""
    above = 2.0 if row["flat"] > 24 else 5.0
    return row["blind"] > 20 and row["blind"] >= row["flat"] + above


def tables(images: Sequence[dict[str, Any]]) -> list[Table]:
    """What is published: every picture of the set, and those that are near no training picture, where these differ."""
    fair = [row for row in images if not row["retired"]]
    made = [summary(images, "Methods"), paired(images, "Differences")]
    if len(fair) < len(images):
        made += [summary(fair, "Methods, retired glyphs left out"), paired(fair, "Differences, likewise")]
    return made


def write_page(files: Sequence[Path]) -> None:
    """Put the tables of these results into docs/recipe.md, between its marks."""
    parts = []
    for file in files:
        facts = json.loads(file.read_text(encoding="utf-8"))
        name = facts["images"][0]["set"]
        parts.append(f"### {name.capitalize()} glyphs\n")
        parts += [f"*{table.title}*\n\n{table.to_markdown()}" for table in tables(facts["images"])]
    text = PAGE.read_text(encoding="utf-8")
    begin, end = "<!-- results -->\n", "<!-- end of results -->"
    before, rest = text.split(begin)
    after = rest.split(end)[1]
    PAGE.write_text(before + begin + "\n".join(parts) + end + after, encoding="utf-8")


def main() -> int:
    """Measure what is missing; print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=SETS, default="development", help="which glyphs (default: development)")
    parser.add_argument("--glyphs", type=int, metavar="N", help="how many of them (default: all)")
    parser.add_argument("--seed", type=int, default=42, help="of measurements and samplers (default: 42)")
    parser.add_argument("--methods", default="recipe,langevin", help="see above; the first is compared with the others")
    parser.add_argument("--noise", type=float, default=0.05, help="sigma of the measurement's noise (default: 0.05)")
    parser.add_argument("--restarts", type=int, default=20, help="of hio and raar (default: 20)")
    parser.add_argument("--retired", action="store_true", help="also the glyphs that are near a training picture")
    parser.add_argument("--weights", type=Path, help="folder of another Emoji-64's weights")
    parser.add_argument("--json", type=Path, default=Path("output/recipe.json"), metavar="FILE", help="the results")
    parser.add_argument("--page", nargs="+", type=Path, metavar="FILE", help="only write docs/recipe.md from results")
    asked = parser.parse_args()
    if asked.page:
        write_page(asked.page)
        return 0
    torch.set_num_threads(1)
    images = json.loads(asked.json.read_text(encoding="utf-8"))["images"] if asked.json.is_file() else []
    done = {(row["method"], row["name"], row["seed"]) for row in images}
    names = [each for name in asked.methods.split(",") for each in (ablations() if name == "ablations" else [name])]
    glyphs = glyph_set(SETS[asked.set], asked.retired)[: asked.glyphs]
    prior = load_emoji_prior(asked.weights)
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    for number, glyph in enumerate(glyphs, start=1):
        truth = picture_of_the_workflow(glyph.name)
        operator = PhaseRetrieval(noise=GaussianNoise(asked.noise))
        measurement = operator.measure(truth, seed=asked.seed + glyph.number)
        problem = Problem(glyph, truth, measurement, prior, asked.seed, asked.restarts)
        for name in names:
            if (name, glyph.name, asked.seed) in done:
                continue
            images.append(solved(problem, name, asked.set))
            last = images[-1]
            print(
                f"{number:3} of {len(glyphs)}  {glyph.name:40} {name:20} {last['blind']:5.1f} dB blind "
                f"{last['oracle']:5.1f} oracle  {last['cpu_seconds']:5.1f} s",
                flush=True,
            )
            facts = {"machine": processor(), "threads": 1, "noise_sigma": asked.noise, "images": images}
            write_json(asked.json, facts)
    for table in tables(images):
        print(f"\n{table.title}\n\n{table.to_markdown()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
