"""How sure the figures of docs/experiments.md are. Run it with ``python3 lab.py bench experiment_intervals``.

Prints three tables: how often 95 % intervals of a mean cover it, for the kinds of differences that experiments have
(simulated, seeded); the paired differences from the first experiment; and every pair. The last two are made from the
table "Every image" of the document, whose figures are rounded to 0.1 dB, which moves a mean of 24 by about 0.01 dB.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from lab import import_pack

import_pack()

from sampler_lab.instruments.runs.comparison import Difference, holm, mean_interval, student_interval, summarise

DOCUMENT = ROOT / "docs" / "experiments.md"
TIE = 0.1
Draw = Callable[[np.random.Generator, int], np.ndarray]


def read_images(document: Path = DOCUMENT) -> dict[str, dict[str, dict[str, float]]]:
    """PSNR in dB by experiment, "oracle" or "blind", and image, from the table that has all three."""
    lines = document.read_text(encoding="utf-8").splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("| image | flat image (dB) |"))
    names = [cell.strip() for cell in lines[start].strip("|").split("|")][2:]
    found: dict[str, dict[str, dict[str, float]]] = {name: {"oracle": {}, "blind": {}} for name in names}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        image, _, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        for name, cell in zip(names, cells, strict=True):
            found[name]["oracle"][image], found[name]["blind"][image] = map(float, cell.split("/"))
    return found


def between(images: dict, a: str, b: str, choice: str) -> list[float]:
    """B - A in dB, of each image."""
    return [round(images[b][choice][name] - value, 1) for name, value in images[a][choice].items()]


def populations(images: dict) -> dict[str, tuple[Draw, float]]:
    """By name: how to draw differences, and their true mean."""
    found: dict[str, tuple[Draw, float]] = {
        "normal": (lambda rng, n: rng.normal(size=n), 0.0),
        "log-normal": (lambda rng, n: -rng.lognormal(size=n), -float(np.exp(0.5))),
        "one in five loses 5 dB": (
            lambda rng, n: rng.normal(0, 0.2, n) - rng.exponential(5, n) * (rng.random(n) < 0.2),
            -1.0,
        ),
    }
    for b in ("exp3", "exp1"):
        if {"exp0", b} <= images.keys():
            own = between(images, "exp0", b, "blind")
            found[f"drawn from {b} - exp0"] = (lambda rng, n, own=own: rng.choice(own, n), fmean(own))
    return found


def covers(interval: Callable, draw: Draw, mean: float, rounds: int, n: int = 24) -> float:
    """The share of ``rounds`` samples of ``n`` whose interval holds the true mean; the samples are always the same."""
    rng, hits = np.random.default_rng(1), 0
    for _ in range(rounds):
        low, high = interval(draw(rng, n))
        hits += low <= mean <= high
    return hits / rounds


def row_of(found: Difference) -> str:
    return f"{found.n} | {found.mean:+.2f} | {found.low:+.2f} to {found.high:+.2f} | {found.larger} / {found.smaller}"


def paired_table(images: dict) -> str:
    """Every experiment against the first; p corrected over the table."""
    first, *others = images
    rows = [
        (b, choice, summarise(between(images, first, b, choice), TIE)) for b in others for choice in ("blind", "oracle")
    ]
    corrected = holm([found.p for *_, found in rows])
    lines = ["| difference | PSNR aligned (dB) | images | mean | 95 % interval | larger / smaller | p | p (Holm) |"]
    lines.append("|---" * 8 + "|")
    for (b, choice, found), p in zip(rows, corrected, strict=True):
        lines.append(f"| {b} \u2212 {first} | {choice} | {row_of(found)} | {found.p:.2f} | {p:.2f} |")
    return "\n".join(lines)


def pairs_table(images: dict) -> str:
    """Row minus column, blind."""
    names = list(images)
    cells = {(b, a): summarise(between(images, a, b, "blind"), TIE) for b in names for a in names if a != b}
    lines = ["| minus | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for b in names:
        shown = [
            f"{c.mean:+.2f} ({c.low:+.2f} to {c.high:+.2f})" if (c := cells.get((b, a))) else "\u2013" for a in names
        ]
        lines.append(f"| {b} | " + " | ".join(shown) + " |")
    half = [(b, a) for k, b in enumerate(names) for a in names[:k]]
    smallest = min(zip(holm([cells[pair].p for pair in half]), half, strict=True))
    lines += [
        "",
        f"Smallest p of the {len(half)} sign tests, corrected (Holm): {smallest[0]:.2f}, {' and '.join(smallest[1])}.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1000, help="samples for each figure of coverage (default: 1000)")
    rounds = parser.parse_args().rounds
    images = read_images()
    print("| differences | Student's | studentised bootstrap |\n|---|---|---|")
    for name, (draw, mean) in populations(images).items():
        figures = [covers(interval, draw, mean, rounds) for interval in (student_interval, mean_interval)]
        print(f"| {name} | {figures[0]:.1%} | {figures[1]:.1%} |", flush=True)
    print(f"\n{paired_table(images)}\n\n{pairs_table(images)}")


if __name__ == "__main__":
    main()
