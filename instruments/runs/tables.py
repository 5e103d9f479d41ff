"""The tables of a report: what runs reached, what they cost, where their particles ended."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean, median

from ...metrics.means import MEANS_RULE
from .run import Run, finite
from .runs import Runs
from .table import MISSING, Table, mean_cell, median_cell, megabytes, number, rate

__all__ = ["coverage", "every_image", "phases", "summary"]

PHASES = ("explore", "prune", "refine", "fit", "polish", "off_decoder", "choose")


def summary(runs: Runs) -> Table:
    """One row per experiment: quality, success, cost."""
    columns: list[tuple[str, Callable[[list[Run]], str]]] = [("images", lambda own: str(len(own)))]

    def add(head: str, metric: str, choice: str, group: str, digits: int) -> None:
        columns.append((head, lambda own: mean_cell((run.score(metric, choice, group) for run in own), digits)))

    add("PSNR raw, oracle (dB)", "psnr", "oracle_raw", "raw", 2)
    add("PSNR aligned, oracle (dB)", "psnr", "oracle", "aligned", 2)
    add("PSNR aligned, blind (dB)", "psnr", "blind", "aligned", 2)
    add("mean over particles (dB)", "psnr", "mean", "aligned", 2)
    add("std over particles (dB)", "psnr", "std", "aligned", 2)
    add("PSNR raw, mean over particles (dB)", "psnr", "mean", "raw", 2)
    add("SSIM raw, blind", "ssim", "blind", "raw", 3)
    add("SSIM aligned, blind", "ssim", "blind", "aligned", 3)
    add("LPIPS raw, blind", "lpips", "blind", "raw", 3)
    add("LPIPS aligned, blind", "lpips", "blind", "aligned", 3)
    columns += [
        ("success blind", lambda own: rate([run.success("blind") for run in own])),
        ("success oracle", lambda own: rate([run.success("oracle") for run in own])),
        ("time, median (s)", lambda own: median_cell((run.seconds for run in own), 1)),
        ("denoiser calls", lambda own: mean_cell((run.calls("denoiser") for run in own), 0)),
        ("decoder forward", lambda own: mean_cell((run.calls("decoder_forward") for run in own), 0)),
        ("decoder backward", lambda own: mean_cell((run.calls("decoder_backward") for run in own), 0)),
        ("encoder", lambda own: mean_cell((run.calls("encoder") for run in own), 0)),
        ("peak memory, largest (MB)", lambda own: megabytes(run.peak_memory_bytes for run in own)),
    ]
    rows = [[name, *(cell(runs.of(name)) for _, cell in columns)] for name in runs.experiments]
    notes = [
        "Means over images unless said otherwise. raw: as it is; aligned: after the best transform that the "
        "measurement cannot see. oracle: the best particle, picked with the truth; blind: picked without it. "
        "success: more than 20 dB aligned and 5 dB above a flat image, with the 95 % interval (Wilson). Calls are "
        "counted per particle. " + MEANS_RULE
    ]
    head, rows, left_out = _without_empty(["experiment", *(head for head, _ in columns)], rows)
    if left_out:
        notes.append(f"No run has numbers for: {', '.join(left_out)}.")
    return Table("summary", "Experiments", head, rows, notes)


def phases(runs: Runs) -> Table:
    """Time, memory and calls per phase, and what hard consistency did."""
    rows = []
    for name in runs.experiments:
        own = runs.of(name)
        for phase in PHASES:
            found = [facts for run in own if (facts := run.phase(phase)) is not None]
            if not found:
                continue
            iterations = [n for run in own for n in run.polish_iterations] if phase == "polish" else []
            accepted = [a for run in own for a in run.polish_accepted] if phase == "polish" else []
            rows.append(
                [
                    name,
                    phase,
                    f"{median(facts['wall_seconds'] for facts in found):.2f}",
                    megabytes(facts["peak_memory_bytes"] for facts in found),
                    mean_cell((facts["calls"]["denoiser"] for facts in found), 0),
                    mean_cell((facts["calls"]["decoder_forward"] for facts in found), 0),
                    mean_cell((facts["calls"]["decoder_backward"] for facts in found), 0),
                    f"{fmean(iterations):.1f}" if iterations else MISSING,
                    f"{fmean(accepted):.0%}" if accepted else MISSING,
                ]
            )
    head = ["experiment", "phase", "time, median (s)", "peak memory, largest (MB)", "denoiser calls"]
    head += ["decoder forward", "decoder backward", "iterations", "accepted"]
    notes = [
        "explore: until pruning; refine: the annealing after it; fit: the joint fit; polish: hard consistency, "
        "iterations per particle and step and the share of its moves that were accepted; off_decoder and choose: after "
        "the last step. On a processor memory is that of the whole process."
    ]
    return Table("phases", "Phases", head, rows, notes)


def coverage(runs: Runs) -> Table:
    """Where particles ended, and how far apart they were."""
    rows = []
    for name in runs.experiments:
        own = runs.of(name)
        counts = [run.coverage for run in own]
        totals = [sum(count[mode] for count in counts) for mode in ("0°", "180°", "neither")]
        both = [count["0°"] > 0 and count["180°"] > 0 for count in counts]
        distance = [finite(step.get("pairwise_distance") for step in run.steps) for run in own]
        ends = [[track[k] for track in distance if track] for k in (0, -1)]
        shown = [f"{total} ({total / max(1, sum(totals)):.0%})" for total in totals]
        rows.append([name, *shown, rate(both), *(f"{fmean(end):.3f}" if end else MISSING for end in ends)])
    head = [
        "experiment",
        "at 0°",
        "at 180°",
        "neither",
        "images with both",
        "distance, first step",
        "distance, last step",
    ]
    notes = [
        "Particles by where they ended; neither: not a reconstruction after alignment either. distance: mean "
        "root-mean-square distance between particles in the latent."
    ]
    return Table("coverage", "Modes", head, rows, notes)


def every_image(runs: Runs) -> Table:
    """Aligned PSNR of each image: oracle / blind."""
    names = runs.experiments
    images = list(dict.fromkeys(run.image for run in runs.runs))
    by_key = {(run.experiment, run.image): run for run in runs.runs}
    rows = []
    for image in images:
        mine = [by_key.get((name, image)) for name in names]
        first = next(run for run in mine if run is not None)
        cells = [
            MISSING
            if run is None
            else f"{number(run.score('psnr', 'oracle'), 1)} / {number(run.score('psnr', 'blind'), 1)}"
            for run in mine
        ]
        rows.append([image, number(first.table["flat_psnr"], 1), *cells])
    return Table(
        "images",
        "Every image",
        ["image", "flat image (dB)", *names],
        rows,
        ["Aligned PSNR in dB: oracle / blind. –: no run, or a particle that is not finite."],
    )


def _without_empty(head: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]], list[str]]:
    """Without columns in which no row has a number; their heads."""
    full = [k for k in range(len(head)) if any(row[k] != MISSING for row in rows)]
    left_out = [head[k] for k in range(len(head)) if k not in full]
    return [head[k] for k in full], [[row[k] for k in full] for row in rows], left_out
