"""LatentDAPS on held-out glyphs, beside what it has to beat. Run it with ``python3 lab.py bench latent_daps``.

The methods are experiments of the catalogue (``lab.py experiment``), run through the prompt queue as users run them, on
the one list of glyphs, so that a setting has one figure everywhere: langevin, hmc (which is exp0) and no_class (which
is told nothing). Two baselines get the same measurements, in this process: gaussian (the same chains with a Gaussian
prior N(0, 1) in place of the network) and hio (hybrid input-output, restarted for about as long).

Results lie where experiments leave theirs; started again, only what is missing is done.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lab import import_pack

import_pack()

from _baselines import HIO_RESTARTS, gaussian, hio, picture_of_the_workflow
from sampler_lab.experiments import cli
from sampler_lab.experiments.catalogue import EXPERIMENTS
from sampler_lab.experiments.executors import InProcess, Job
from sampler_lab.experiments.experiment import Experiment
from sampler_lab.experiments.pictures import Picture, emoji_pictures
from sampler_lab.experiments.runner import home_of, run_experiment
from sampler_lab.instruments.runs.run import Run
from sampler_lab.instruments.runs.runs import load_runs
from sampler_lab.instruments.runs.table import MISSING, Table, mean_cell, number, rate
from sampler_lab.labkit.console import Console
from sampler_lab.labkit.running import private_folder
from sampler_lab.metrics import MEANS_RULE, mean_of, psnr
from sampler_lab.priors.held_out import ROLES
from sampler_lab.priors.loader import EmojiPrior, load_emoji_prior

#: Name in the table -> experiment of the catalogue.
QUEUED = {"langevin": "langevin", "hmc": "exp0", "langevin, no class": "no_class"}
#: The experiment whose measurements the baselines have.
BESIDE = EXPERIMENTS["langevin"]
SEED = {"Measure.seed": BESIDE.options["Measure.seed"]}
GAUSSIAN = Experiment("gaussian", "What do the chains find without the network?", SEED)
HIO = Experiment("hio", "What does a classical method find?", {**SEED, "HIO.restarts": HIO_RESTARTS})


def run_queued(arguments: Sequence[str]) -> int:
    """Run the methods of the prompt queue, as the command ``lab.py experiment`` does; the exit status."""
    arguments = [*arguments, *(["--comfyui", host] if (host := os.environ.get("COMFYUI_PATH")) else [])]
    with private_folder("bench") as (private, _):
        for name in QUEUED.values():
            status = cli.main([name, *arguments, "--private", str(private)])
            if status != 0:
                return status
    return 0


def run_baselines(prior: EmojiPrior, pictures: Sequence[Picture], results: Path) -> None:
    """Run what stands beside them."""
    beside = home_of(BESIDE, results)
    solvers: list[tuple[Experiment, Callable[[Job, Path], None]]] = [
        (GAUSSIAN, gaussian(prior, beside)),
        (HIO, hio(beside)),
    ]
    for experiment, solve in solvers:
        run_experiment(Console(), InProcess(solve), experiment, pictures, results)


def methods(pictures: Sequence[Picture], results: Path) -> dict[str, list[Run]]:
    """By the name in the table: the runs on ``pictures``."""
    homes = {name: results / experiment for name, experiment in QUEUED.items()}
    homes |= {experiment.name: home_of(experiment, results) for experiment in (GAUSSIAN, HIO)}
    names = {picture.name for picture in pictures}
    return {
        name: [run for run in load_runs([home]).runs if run.metrics["picture"] in names] for name, home in homes.items()
    }


def summary(found: dict[str, list[Run]]) -> Table:
    """One row per method."""
    head = ["method", "glyphs", "raw, oracle", "aligned, oracle", "aligned, blind", "> 20 and > flat + 5", "> 25"]
    head += ["denoiser calls", "decoder forward + backward"]
    rows = []
    for name, runs in found.items():
        chosen = [run.chosen("blind") for run in runs]
        calls = [runs[0].calls(kind) for kind in ("denoiser", "decoder_forward", "decoder_backward")]
        rows.append(
            [
                name,
                str(len(runs)),
                mean_cell((run.score("psnr", "oracle_raw", "raw") for run in runs), 2),
                mean_cell((run.score("psnr", "oracle") for run in runs), 2),
                mean_cell((run.score("psnr", "blind") for run in runs), 2),
                rate([run.success("blind") for run in runs]),
                rate([row["success_25"] and row["finite"] for row in chosen]),
                f"{calls[0]:,}" if calls[1] else MISSING,
                f"{calls[1]:,} + {calls[2]:,}" if calls[1] else MISSING,
            ]
        )
    notes = [
        "PSNR in dB, mean over glyphs; success of the blind choice with its 95 % interval (Wilson). Calls are counted "
        "per particle. " + MEANS_RULE
    ]
    return Table("methods", "Methods", head, rows, notes)


def every_glyph(found: dict[str, list[Run]], ceilings: dict[str, float]) -> Table:
    """Aligned PSNR of each glyph: oracle / blind."""
    rows = []
    for name, ceiling in ceilings.items():
        mine = [next((run for run in runs if run.metrics["picture"] == name), None) for runs in found.values()]
        flat = next(run.table["flat_psnr"] for run in mine if run is not None)
        pairs = [
            f"{number(run.score('psnr', 'oracle'), 1)} / {number(run.score('psnr', 'blind'), 1)}" if run else MISSING
            for run in mine
        ]
        rows.append([name, number(flat, 1), number(ceiling, 1), *pairs])
    flats = mean_of(runs.table["flat_psnr"] for runs in next(iter(found.values())))
    means = f"A flat image of the mean colour: {flats.text(2)} dB. The autoencoder's ceiling: "
    notes = [f"Aligned PSNR in dB: oracle / blind. {means}{mean_of(ceilings.values()).text(2)} dB."]
    return Table("glyphs", "Every glyph", ["glyph", "flat", "ceiling", *found], rows, notes)


@torch.no_grad()
def ceiling(prior: EmojiPrior, name: str) -> float:
    """PSNR in dB of what the autoencoder makes of the glyph itself; what decodes a latent does hardly better."""
    truth = picture_of_the_workflow(name)
    made = prior.decode(prior.encode(truth)).clamp(-1, 1)
    return float(psnr((made + 1) / 2, (truth + 1) / 2))


def main() -> int:
    """Run what is missing; print the tables, and write them beside the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, metavar="N", help="how many glyphs (default: all of them)")
    parser.add_argument("--glyphs", choices=ROLES, default=ROLES[0], help="which of them (default: development)")
    parser.add_argument("--retired", action="store_true", help="also the glyphs that are near a training picture")
    parser.add_argument("--out", type=Path, default=cli.RESULTS, metavar="DIR", help="where results go")
    asked = parser.parse_args()
    arguments = ["--out", str(asked.out), "--glyphs", asked.glyphs, *(["--retired"] if asked.retired else [])]
    status = run_queued([*arguments, *(["--count", str(asked.count)] if asked.count else [])])
    if status != 0:
        return status
    pictures, prior = emoji_pictures(asked.count, 0, asked.glyphs, asked.retired), load_emoji_prior()
    run_baselines(prior, pictures, asked.out)
    found = methods(pictures, asked.out)
    ceilings = {picture.name: ceiling(prior, picture.name) for picture in pictures}
    text = "\n".join(table.to_markdown() for table in (summary(found), every_glyph(found, ceilings)))
    (asked.out / "latent_daps.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
