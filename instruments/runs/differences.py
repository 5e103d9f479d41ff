"""The tables of differences between experiments, on the images that both have."""

from __future__ import annotations

from collections.abc import Callable

from .comparison import Difference, holm, paired_difference
from .run import Run
from .runs import Runs
from .table import MISSING, Table

__all__ = ["every_pair", "paired"]


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
    differences = {
        (b, a): paired_difference(runs.of(a), runs.of(b), lambda run: run.score("psnr", "blind"), tie=0.1)
        for b in names
        for a in names
        if a != b
    }
    found = {pair: difference for pair, difference in differences.items() if difference is not None}
    pairs = [(b, a) for k, b in enumerate(names) for a in names[:k] if (b, a) in found]
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


def _interval(difference: Difference, digits: int) -> str:
    return MISSING if difference.low is None else f"{difference.low:+.{digits}f} to {difference.high:+.{digits}f}"


def _with_interval(difference: Difference) -> str:
    interval = "" if difference.low is None else f" ({_interval(difference, 2)})"
    return f"{difference.mean:+.2f}{interval}"
