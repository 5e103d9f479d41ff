"""The tables of a report: as Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from ...metrics.intervals import wilson_interval
from ...metrics.means import MEANS_RULE, mean_of
from .comparison import Difference, holm, paired_difference
from .runs import Run, Runs, finite

__all__ = ["Table", "coverage", "every_image", "every_pair", "paired", "phases", "summary"]

MISSING = "–"
PHASES = ("explore", "prune", "refine", "polish")
_LATEX = {"\\": r"\textbackslash{}", "–": "--", "\u2212": "$-$", "°": r"$^\circ$", "±": r"$\pm$", "\u03c3": r"$\sigma$"}
_LATEX |= {mark: f"\\{mark}" for mark in "&%$#_{}"}


@dataclass(frozen=True)
class Table:
    """name: of its files. title: above it. head and rows: text. notes: sentences below it."""

    name: str
    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default=())

    def to_markdown(self) -> str:
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        body = "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
        return "\n\n".join([body, *self.notes]) + "\n"

    def to_csv(self) -> str:
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(self.head)
        writer.writerows(["" if cell == MISSING else cell for cell in row] for row in self.rows)
        return stream.getvalue()

    def to_latex(self) -> str:
        """A tabular with booktabs' rules."""
        lines = [" & ".join(map(_latex, row)) + r" \\" for row in self.rows]
        columns = "l" + "r" * (len(self.head) - 1)
        head = " & ".join(map(_latex, self.head)) + r" \\"
        begin = [f"% {self.title}", f"\\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule"]
        return "\n".join([*begin, *lines, r"\bottomrule", r"\end{tabular}", ""])


def summary(runs: Runs) -> Table:
    """One row an experiment: quality, success, cost."""
    columns: list[tuple[str, Callable[[list[Run]], str]]] = [("images", lambda own: str(len(own)))]

    def add(head: str, metric: str, choice: str, group: str, digits: int) -> None:
        columns.append((head, lambda own: _mean((run.score(metric, choice, group) for run in own), digits)))

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
        ("time, median (s)", lambda own: _median((run.seconds for run in own), 1)),
        ("denoiser calls", lambda own: _mean((run.calls("denoiser") for run in own), 0)),
        ("decoder forward", lambda own: _mean((run.calls("decoder_forward") for run in own), 0)),
        ("decoder backward", lambda own: _mean((run.calls("decoder_backward") for run in own), 0)),
        ("peak memory, largest (MB)", lambda own: _megabytes(run.peak_memory_bytes for run in own)),
    ]
    rows = [[name, *(cell(runs.of(name)) for _, cell in columns)] for name in runs.experiments]
    notes = [
        "Means over images unless said otherwise. raw: as it is; aligned: after the best transform that the "
        "measurement cannot see. oracle: the best particle, picked with the truth; blind: by the residual alone. "
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
            found = [run.phase(phase) for run in own]
            found = [facts for facts in found if facts is not None]
            if not found:
                continue
            iterations = [n for run in own for n in run.polish_iterations] if phase == "polish" else []
            accepted = [a for run in own for a in run.polish_accepted] if phase == "polish" else []
            rows.append(
                [
                    name,
                    phase,
                    f"{median(facts['wall_seconds'] for facts in found):.2f}",
                    _megabytes(facts["peak_memory_bytes"] for facts in found),
                    _mean((facts["calls"]["denoiser"] for facts in found), 0),
                    _mean((facts["calls"]["decoder_forward"] for facts in found), 0),
                    _mean((facts["calls"]["decoder_backward"] for facts in found), 0),
                    f"{fmean(iterations):.1f}" if iterations else MISSING,
                    f"{fmean(accepted):.0%}" if accepted else MISSING,
                ]
            )
    head = ["experiment", "phase", "time, median (s)", "peak memory, largest (MB)", "denoiser calls"]
    head += ["decoder forward", "decoder backward", "iterations", "accepted"]
    notes = [
        "explore: until pruning; refine: the annealing after it; polish: hard consistency, iterations a particle and "
        "step and the share of its moves that were accepted. On a processor memory is that of the whole process."
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


def paired(runs: Runs) -> Table:
    """Every experiment against the first, on the images of both."""
    names = runs.experiments
    measures: list[tuple[str, Callable[[Run], float | None], float, int]] = [
        ("PSNR aligned, blind (dB)", lambda run: run.score("psnr", "blind"), 0.1, 2),
        ("PSNR aligned, oracle (dB)", lambda run: run.score("psnr", "oracle"), 0.1, 2),
        ("mean over particles (dB)", lambda run: run.score("psnr", "mean"), 0.1, 2),
        ("SSIM aligned, blind", lambda run: run.score("ssim", "blind"), 0.005, 3),
        ("time (s)", lambda run: run.seconds, 0.0, 1),
        ("decoder backward", lambda run: run.calls("decoder_backward"), 0.0, 0),
    ]
    found = [
        (name, measure, difference)
        for name in names[1:]
        for measure in measures
        if (difference := paired_difference(runs.of(names[0]), runs.of(name), measure[1], measure[2])) is not None
    ]
    corrected = holm([difference.p for *_, difference in found])
    rows = []
    for (name, (title, _, _, digits), difference), p in zip(found, corrected, strict=True):
        both = len({run.image for run in runs.of(names[0])} & {run.image for run in runs.of(name)})
        images = str(difference.n) if difference.n == both else f"{difference.n} of {both}"
        row = [f"{name} \u2212 {names[0]}", title, images, f"{difference.mean:+.{digits}f}"]
        rows.append([*row, _interval(difference, digits), f"{difference.larger} / {difference.smaller}", f"{p:.2f}"])
    head = ["difference", "of", "images", "mean", "95 % interval", "larger / smaller", "sign test p (Holm)"]
    notes = [
        "On the images that both have. Differences up to 0.1 dB (0.005 of SSIM) count for neither side. An image for "
        "which one of both has no finite number (a particle that became NaN) has no difference; images then says so. "
        "Intervals: studentised bootstrap, below 8 images Student's; each for itself. p: corrected for all tests of "
        "this table."
    ]
    return Table("paired", "Paired differences", head, rows, notes)


def every_pair(runs: Runs) -> Table:
    """Row minus column, for the PSNR that anybody can have: aligned, chosen blind."""
    names = runs.experiments
    found = {
        (b, a): paired_difference(runs.of(a), runs.of(b), lambda run: run.score("psnr", "blind"), tie=0.1)
        for b in names
        for a in names
        if a != b
    }
    pairs = [(b, a) for k, b in enumerate(names) for a in names[:k] if found[b, a] is not None]
    certain = {pair for pair, p in zip(pairs, holm([found[pair].p for pair in pairs]), strict=True) if p < 0.05}
    rows = []
    for b in names:
        cells = []
        for a in names:
            difference = found.get((b, a))
            star = " *" if {(b, a), (a, b)} & certain else ""
            cells.append(MISSING if difference is None else f"{_with_interval(difference)}{star}")
        rows.append([b, *cells])
    notes = [
        "PSNR aligned, blind (dB): row minus column, mean over the images of both, with its 95 % interval, each for "
        f"itself. * where the sign test finds a difference at 5 %, corrected (Holm) for the {len(pairs)} pairs."
    ]
    return Table("pairs", "Every pair", ["minus", *names], rows if len(names) > 2 else [], notes)


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
            else f"{_number(run.score('psnr', 'oracle'), 1)} / {_number(run.score('psnr', 'blind'), 1)}"
            for run in mine
        ]
        rows.append([image, _number(first.table["flat_psnr"], 1), *cells])
    return Table(
        "images",
        "Every image",
        ["image", "flat image (dB)", *names],
        rows,
        ["Aligned PSNR in dB: oracle / blind. –: no run, or a particle that is not finite."],
    )


def _interval(difference: Difference, digits: int) -> str:
    return MISSING if difference.low is None else f"{difference.low:+.{digits}f} to {difference.high:+.{digits}f}"


def _with_interval(difference: Difference) -> str:
    interval = "" if difference.low is None else f" ({_interval(difference, 2)})"
    return f"{difference.mean:+.2f}{interval}"


def rate(successes: Sequence[bool]) -> str:
    """Successes of n with the 95 % interval."""
    low, high = wilson_interval(sum(successes), len(successes))
    return f"{sum(successes)}/{len(successes)} ({low:.0%}–{high:.0%})"


def _mean(values: Iterable[float | None], digits: int) -> str:
    return mean_of(values).text(digits, MISSING)


def _median(values: Iterable[float | None], digits: int) -> str:
    known = finite(values)
    return f"{median(known):.{digits}f}" if known else MISSING


def _megabytes(values: Iterable[float | None]) -> str:
    known = finite(values)
    return f"{max(known) / 1e6:.0f}" if known else MISSING


def _number(value: float | None, digits: int) -> str:
    return MISSING if value is None else f"{value:.{digits}f}"


def _without_empty(head: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]], list[str]]:
    """Without columns in which no row has a number; their heads."""
    full = [k for k in range(len(head)) if any(row[k] != MISSING for row in rows)]
    left_out = [head[k] for k in range(len(head)) if k not in full]
    return [head[k] for k in full], [[row[k] for k in full] for row in rows], left_out


def _latex(text: str) -> str:
    return "".join(_LATEX.get(mark, mark) for mark in text)
