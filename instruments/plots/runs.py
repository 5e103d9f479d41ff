"""The plots of a report, one function each; matplotlib is imported when one is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median, quantiles
from textwrap import wrap
from types import MappingProxyType
from typing import Any

from ...metrics.intervals import wilson_interval
from ...metrics.means import mean_of
from ..runs.run import Run, finite
from ..runs.runs import Runs

__all__ = ["PLOTS", "cost", "new_figure"]

#: Okabe and Ito's colours, which people with any colour vision tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#7f7f7f")


def new_figure(width: float = 7.0, height: float = 4.2) -> tuple[Any, Any]:
    """A figure in inches and its axes, drawn without a screen.

    Raises ``ValueError`` when matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ValueError("plots of runs need the matplotlib package: pip install matplotlib.") from None

    figure = Figure(figsize=(width, height), layout="constrained", dpi=130)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    return figure, axes


def psnr(runs: Runs) -> Any:
    """Aligned PSNR of the blind choice: one dot per image, joined across experiments; the mean as a bar."""
    figure, axes = new_figure()
    names = runs.experiments
    scores = {(run.experiment, run.image): run.score("psnr", "blind") for run in runs.runs}
    for image in dict.fromkeys(run.image for run in runs.runs):
        track = [scores.get((name, image)) for name in names]
        axes.plot(
            range(len(names)), [float("nan") if y is None else y for y in track], color="#999999", lw=0.6, zorder=1
        )
    for x, name in enumerate(names):
        values = finite(run.score("psnr", "blind") for run in runs.of(name))
        axes.scatter([x] * len(values), values, color=_colour(x), s=18, zorder=2)
        if values:
            mean = mean_of(run.score("psnr", "blind") for run in runs.of(name))
            axes.hlines(mean.value, x - 0.3, x + 0.3, color=_colour(x), lw=3, zorder=3)
            axes.annotate(mean.text(2), (x + 0.32, mean.value), va="center", fontsize=9)
    axes.set_xlim(-0.6, len(names) - 0.2)
    axes.set_xticks(range(len(names)), [_wrapped(name, 18) for name in names])
    axes.set(
        ylabel="PSNR aligned, blind choice (dB)",
        title="One dot per image, the mean as a bar (of how many, if not all are finite)",
    )
    return figure


def residual(runs: Runs) -> Any:
    """Residual over the noise floor per step: median over particles and images, the middle half shaded."""
    figure, axes = new_figure()
    for k, name in enumerate(runs.experiments):
        steps, rows = _per_step(runs.of(name), lambda run, step: run.residual_ratios(step))
        if not rows:
            continue
        low, middle, high = zip(*(_quartiles(values) for values in rows), strict=True)
        axes.plot(steps, middle, color=_colour(k), label=_wrapped(name))
        axes.fill_between(steps, low, high, color=_colour(k), alpha=0.15, lw=0)
    _mark_pruning(axes, runs)
    axes.axhline(1, color="black", ls="--", lw=1, label="noise floor")
    axes.set(xlabel="annealing step", ylabel="residual / noise floor", yscale="log", title="Median and middle half")
    axes.legend(frameon=False, fontsize=9)
    return figure


def distance(runs: Runs) -> Any:
    """Mean distance between particles per step."""
    figure, axes = new_figure()
    for k, name in enumerate(runs.experiments):
        steps, rows = _per_step(runs.of(name), lambda _run, step: finite([step.get("pairwise_distance")]))
        axes.plot(steps, [fmean(values) for values in rows], color=_colour(k), label=_wrapped(name))
    _mark_pruning(axes, runs)
    axes.set(xlabel="annealing step", ylabel="rms distance between particles (latent)", title="Mean over images")
    axes.legend(frameon=False, fontsize=9)
    return figure


def success(runs: Runs) -> Any:
    """Success rate of the blind and the oracle choice, with 95 % intervals."""
    figure, axes = new_figure()
    for k, name in enumerate(runs.experiments):
        for offset, choice, filled in ((-0.12, "blind", True), (0.12, "oracle", False)):
            outcomes = [run.success(choice) for run in runs.of(name)]
            share = fmean(outcomes)
            low, high = wilson_interval(sum(outcomes), len(outcomes))
            axes.errorbar(
                k + offset,
                share,
                yerr=[[share - low], [high - share]],
                fmt="o",
                color=_colour(k),
                mfc=_colour(k) if filled else "white",
                capsize=4,
                label=choice if k == 0 else None,
            )
    axes.set_xticks(range(len(runs.experiments)), [_wrapped(name, 18) for name in runs.experiments])
    axes.set(ylim=(0, 1.02), ylabel="success rate", title="More than 20 dB and 5 dB above a flat image; 95 % interval")
    axes.legend(frameon=False, fontsize=9)
    return figure


def cost(runs: Runs, with_seconds: bool = True) -> Any:
    """Quality against the decoder's passes, which are nearly all of the work.

    with_seconds: whether each has its median time; leave it out where other programs used the machine.
    """
    figure, axes = new_figure()
    for k, name in enumerate(runs.experiments):
        own = [run for run in runs.of(name) if run.was_recorded]
        mean = mean_of(run.score("psnr", "blind") for run in own)
        if mean.value is None:
            continue
        x = fmean((run.calls("decoder_forward") or 0) + (run.calls("decoder_backward") or 0) for run in own)
        counted = "" if mean.n == mean.of else f", {mean.n} of {mean.of} images"
        seconds = f"\n{median(run.seconds or 0.0 for run in own):.0f} s" if with_seconds else ""
        words = f"{name}{seconds}{counted}"
        axes.scatter(x, mean.value, color=_colour(k), s=60)
        axes.annotate(words, (x, mean.value), (6, 4), fontsize=9, textcoords="offset points")
    axes.margins(0.15)
    axes.set(xlabel="decoder passes per image (forward + backward, per particle)", ylabel="PSNR aligned, blind (dB)")
    axes.set_title("Quality against work, mean over images")
    return figure


#: By the name of the file, and of the choice in the editor.
PLOTS: Mapping[str, Callable[[Runs], Any]] = MappingProxyType(
    {"psnr": psnr, "residual": residual, "distance": distance, "success": success, "cost": cost}
)


def _wrapped(name: str, width: int = 44) -> str:
    """A name in lines: a group without one is called by its settings, which may be many."""
    return "\n".join(wrap(name, width)) or name


def _colour(k: int) -> str:
    return COLOURS[k % len(COLOURS)]


def _per_step(
    own: Sequence[Run], values: Callable[[Run, dict[str, Any]], list[float]]
) -> tuple[list[int], list[list[float]]]:
    """Steps, from 1, and what all runs have there."""
    found: dict[int, list[float]] = {}
    for run in own:
        for step in run.steps:
            found.setdefault(int(step["step"]) + 1, []).extend(values(run, step))
    steps = sorted(step for step, numbers in found.items() if numbers)
    return steps, [found[step] for step in steps]


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = quantiles(values, n=4, method="inclusive")
    return low, middle, high


def _mark_pruning(axes: Any, runs: Runs) -> None:
    moments = {int(step["step"]) + 1 for run in runs.runs for step in run.steps if step.get("pruning")}
    for place, moment in enumerate(sorted(moments)):
        axes.axvline(moment, color="#555555", ls=":", lw=1, label="pruning" if place == 0 else None)
