"""How sure the figures of docs/experiments.md are. Run it with ``python3 lab.py bench experiment_intervals``.

Prints how often 95 % intervals of a mean cover it, simulated and seeded, for the kinds of differences that experiments
have, and for those drawn from the page's own table of every image, at as many images as that table has.
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

from sampler_lab.instruments.runs.comparison import mean_interval, student_interval

DOCUMENT = ROOT / "docs" / "experiments.md"
#: PSNR in dB by experiment, "oracle" or "blind", and image.
Images = dict[str, dict[str, dict[str, float]]]
Draw = Callable[[np.random.Generator, int], np.ndarray]


def read_images(document: Path = DOCUMENT) -> Images:
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


def between(images: Images, a: str, b: str, choice: str) -> list[float]:
    """B - A in dB, of each image."""
    return [round(images[b][choice][name] - value, 1) for name, value in images[a][choice].items()]


def populations(images: Images) -> dict[str, tuple[Draw, float]]:
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


def covers(interval: Callable, draw: Draw, mean: float, rounds: int, n: int) -> float:
    """The share of ``rounds`` samples of ``n`` whose interval holds the true mean; the samples are always the same."""
    rng, hits = np.random.default_rng(1), 0
    for _ in range(rounds):
        low, high = interval(draw(rng, n))
        hits += low <= mean <= high
    return hits / rounds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1000, help="samples for each figure of coverage (default: 1000)")
    rounds = parser.parse_args().rounds
    images = read_images()
    n = len(next(iter(images.values()))["blind"])
    print(f"The mean of {n} images, {rounds} samples of each kind.\n")
    print("| differences | Student's | studentised bootstrap |\n|---|---|---|")
    for name, (draw, mean) in populations(images).items():
        figures = [covers(interval, draw, mean, rounds, n) for interval in (student_interval, mean_interval)]
        print(f"| {name} | {figures[0]:.1%} | {figures[1]:.1%} |", flush=True)


if __name__ == "__main__":
    main()
