"""LatentDAPS on held-out Emoji-64 glyphs, beside what it has to beat. Run it with ``python3 lab.py bench latent_daps``.

Every method gets the same measurements (DAPS geometry, sigma 0.05, clipped at 0), and is judged by the same table:

* langevin, hmc: LatentDAPS with the Emoji presets, told the glyph's class;
* langevin, no class: told nothing;
* gaussian: the same chain with a Gaussian prior N(0, 1) in place of the denoiser, to see what the model is worth;
* hio: hybrid input–output, restarted for as long as langevin took on the same glyph.

Results are appended to a file as they come; started again, only what is missing is done.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lab import import_pack

import_pack()

from sampler_lab.instruments.metrics_file import row_of
from sampler_lab.instruments.record import RunRecord
from sampler_lab.metrics import MEANS_RULE, mean_of, quality_table, wilson_interval
from sampler_lab.operators import Measurement, PhaseRetrieval
from sampler_lab.operators.classical.hybrid_input_output import best_channels, hybrid_input_output
from sampler_lab.priors.classes import class_weights
from sampler_lab.priors.held_out import list_glyphs, load_glyph
from sampler_lab.priors.loader import EmojiPrior, load_emoji_prior
from sampler_lab.samplers.latent_daps import PRESETS, sample_latent_daps
from sampler_lab.schedulers import poly_rho

ROOT = Path(__file__).resolve().parent.parent
ANNEALING_STEPS, SIGMA_MAX, SIGMA_MIN = 50, 10.0, 0.05
SEED = 42


@dataclass
class Case:
    """One glyph: the truth, what was measured of it, and the compute that langevin took."""

    name: str
    label: str
    truth: torch.Tensor
    measurement: Measurement
    budget_seconds: float = 0.0


@dataclass
class Outcome:
    """Reconstructions ``[N, 3, H, W]`` in [-1, 1] and what they cost."""

    images: torch.Tensor
    seconds: float
    calls: dict[str, int]
    peak_memory_bytes: int | None


def gaussian_prior(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """E[x0 | x] for x0 ~ N(0, 1), the crudest prior on standardised latents."""
    return x / (1 + sigma.reshape(-1, 1, 1, 1) ** 2)


def latent_daps(prior: EmojiPrior, case: Case, preset: str, particles: int, denoiser: Callable | None) -> Outcome:
    """One run of LatentDAPS; ``denoiser`` replaces the prior's own, given the class, if it is not None."""
    weights = class_weights(case.label)
    if denoiser is None:

        def denoiser(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            return prior.denoiser(x, sigma, weights)

    sigmas = poly_rho(ANNEALING_STEPS, SIGMA_MIN, SIGMA_MAX)
    starts = [torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(SEED + k)) for k in range(particles)]
    record = RunRecord()
    record.begin(options=PRESETS[preset].to_dict(), seed=SEED, sigmas=sigmas.tolist(), particles=particles)
    with record.phase("explore"):
        latents = sample_latent_daps(
            lambda x, sigma, **_: denoiser(x, sigma),
            torch.stack(starts) * sigmas[0],
            sigmas,
            extra_args={"seed": SEED},
            disable=True,
            measurement=case.measurement,
            decoder=prior.decode,
            options=PRESETS[preset],
            record=record,
        )
    with torch.no_grad():
        images = prior.decode(latents)
    facts = record.to_dict()
    phase = facts["phases"][0]
    return Outcome(images, phase["wall_seconds"], facts["calls"], phase["peak_memory_bytes"])


def hio(case: Case, particles: int) -> Outcome:
    """Hybrid input–output restarts until langevin's time is up; the best by residual, and their best channels."""
    begin, rounds = time.monotonic(), []
    while not rounds or time.monotonic() - begin < case.budget_seconds:
        rounds.append(hybrid_input_output(case.measurement, restarts=particles, seed=SEED + len(rounds)))
    images = torch.cat(rounds)
    order = case.measurement.residual(images).argsort()[: particles - 1]
    images = torch.cat([images[order], best_channels(images, case.measurement)])
    return Outcome(images, time.monotonic() - begin, {"restarts": len(rounds) * particles}, None)


def methods(prior: EmojiPrior, particles: int) -> dict[str, Callable[[Case], Outcome]]:
    """By the name in the table; langevin first, because it sets the time that hio gets."""

    def unconditional(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return prior.denoiser(x, sigma)

    return {
        "langevin": lambda case: latent_daps(prior, case, "emoji_langevin", particles, None),
        "hmc": lambda case: latent_daps(prior, case, "emoji_hmc", particles, None),
        "langevin, no class": lambda case: latent_daps(prior, case, "emoji_langevin", particles, unconditional),
        "gaussian": lambda case: latent_daps(prior, case, "emoji_langevin", particles, gaussian_prior),
        "hio": lambda case: hio(case, particles),
    }


def run(prior: EmojiPrior, glyphs: int, particles: int, results: Path, retired: bool = False) -> list[dict[str, Any]]:
    """Do what ``results`` (one JSON object a line) lacks, and return all of it.

    A glyph's measurement depends on its place among the ``glyphs``, so leaving out the retired ones changes no other.
    """
    rows = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    done = {(row["glyph"], row["method"]): row for row in rows}
    chosen = {k: glyph for k, glyph in enumerate(spread(list_glyphs(), glyphs)) if retired or not glyph.retired}
    for place, (k, glyph) in enumerate(chosen.items()):
        truth = load_glyph(glyph.name)
        measurement = PhaseRetrieval().measure(truth, seed=SEED + k)
        case = Case(glyph.name, glyph.klass, truth, measurement)
        with torch.no_grad():
            ceiling = quality_table(prior.decode(prior.encode(truth)), truth, measurement).rows[0].raw.psnr
        for method, solve in methods(prior, particles).items():
            if (case.name, method) not in done:
                outcome = solve(case)
                table = quality_table(outcome.images, truth, measurement).to_dict()
                row = {
                    "glyph": case.name,
                    "class": case.label,
                    "method": method,
                    "ceiling": ceiling,
                    "seconds": outcome.seconds,
                    "calls": outcome.calls,
                    "peak_memory_bytes": outcome.peak_memory_bytes,
                    **table,
                }
                with results.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                done[case.name, method] = row
                best, of = number(psnr(row, "blind")), f"[{place + 1}/{len(chosen)}]"
                print(f"{of} {case.name}: {method} {best} dB blind, {outcome.seconds:.0f} s")
            if method == "langevin":
                case.budget_seconds = done[case.name, method]["seconds"]
    names = {glyph.name for glyph in chosen.values()}
    return [row for row in done.values() if row["glyph"] in names]


def spread(glyphs: list, count: int) -> list:
    """``count`` of them, evenly spaced: they are listed class by class."""
    if not 0 < count <= len(glyphs):
        raise SystemExit(f"--glyphs is {count}; there are {len(glyphs)} held-out glyphs.")
    return [glyphs[k * len(glyphs) // count] for k in range(count)]


def markdown(rows: list[dict[str, Any]], particles: int) -> str:
    """The summary over glyphs, then every glyph."""
    glyphs = list(dict.fromkeys(row["glyph"] for row in rows))
    lines = [
        f"{len(glyphs)} held-out glyphs, {particles} particles, {ANNEALING_STEPS} annealing steps from {SIGMA_MAX:g} "
        f"to {SIGMA_MIN:g}, seed {SEED}, torch {torch.__version__}, {torch.get_num_threads()} threads, {processor()}. "
        f"PSNR in dB, the mean over glyphs; success with its 95 % interval (Wilson). {MEANS_RULE}",
        "",
        "| method | raw, oracle | aligned, oracle | aligned, blind | > 20 and > flat + 5 | > 25 | s a glyph "
        "| denoiser calls | decoder fwd + bwd | peak MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for method in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == method]
        chosen = [row_of(row, "blind") for row in mine]
        calls = mine[0]["calls"]
        memory = [row["peak_memory_bytes"] for row in mine if row["peak_memory_bytes"]]
        cells = [
            method,
            mean_of(psnr(row, "oracle_raw", "raw") for row in mine).text(2),
            mean_of(psnr(row, "oracle") for row in mine).text(2),
            mean_of(psnr(row, "blind") for row in mine).text(2),
            rate([particle["success"] and particle["finite"] for particle in chosen]),
            rate([particle["success_25"] and particle["finite"] for particle in chosen]),
            f"{statistics.median(row['seconds'] for row in mine):.1f}",
            f"{calls['denoiser']:,}" if "denoiser" in calls else "–",
            f"{calls['decoder_forward']:,} + {calls['decoder_backward']:,}" if "denoiser" in calls else "–",
            f"{max(memory) / 1e6:,.0f}" if memory else "–",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    order = list(dict.fromkeys(row["method"] for row in rows))
    lines += [
        "",
        "Every glyph, aligned PSNR: oracle / blind.",
        "",
        "| glyph | flat | ceiling | " + " | ".join(order) + " |",
        "|---" * (3 + len(order)) + "|",
    ]
    for glyph in glyphs:
        mine = {row["method"]: row for row in rows if row["glyph"] == glyph}
        first = next(iter(mine.values()))
        cells = [glyph, f"{first['flat_psnr']:.1f}", f"{first['ceiling']:.1f}"]
        for method in order:
            row = mine.get(method)
            pick = [psnr(row, key) for key in ("oracle", "blind")] if row else []
            cells.append(" / ".join(map(number, pick)) or "–")
        lines.append("| " + " | ".join(cells) + " |")
    flat, ceiling = ({row["glyph"]: row[key] for row in rows}.values() for key in ("flat_psnr", "ceiling"))
    means = [mean_of(values).text(2) for values in (flat, ceiling)]
    lines += ["", f"Flat image of the mean colour: {means[0]} dB. Autoencoder's ceiling: {means[1]} dB."]
    return "\n".join(lines) + "\n"


def psnr(row: dict[str, Any], choice: str, group: str = "aligned") -> float | None:
    """Of the particle chosen by "blind", "oracle" or "oracle_raw"; None when it is not finite."""
    return row_of(row, choice)[group]["psnr"]


def number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def rate(successes: list[bool]) -> str:
    low, high = wilson_interval(sum(successes), len(successes))
    return f"{sum(successes)}/{len(successes)} ({low:.0%}–{high:.0%})"


def processor() -> str:
    """The machine's name for the table."""
    try:
        text = Path("/proc/cpuinfo").read_text()
        return next(line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--glyphs", type=int, default=24, help="how many held-out glyphs (default: 24)")
    parser.add_argument("--particles", type=int, default=4, help="particles a run (default: 4)")
    parser.add_argument("--out", type=Path, default=ROOT / "output" / "benchmarks" / "latent_daps", help="folder")
    parser.add_argument("--retired", action="store_true", help="also the glyphs that are near a training picture")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = run(load_emoji_prior(), options.glyphs, options.particles, options.out / "results.jsonl", options.retired)
    table = markdown(rows, options.particles)
    (options.out / "table.md").write_text(table, encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
