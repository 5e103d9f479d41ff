"""Draw a run: the residual of every particle against the noise floor, and its pictures side by side.

    python plots.py metrics.json residuals.png [overview.png PICTURE MEASUREMENT PARTICLE...]

Run by the lab's own Python: this is the one file here that needs more than the standard library (matplotlib).
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

__all__ = ["draw_overview", "draw_residuals"]


def draw_residuals(metrics: dict[str, Any], picture: Path) -> None:
    """Write the plot of one ``metrics.json`` to ``picture``; the file's ending decides the format."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rows = [row for row in metrics["steps"] if row.get("residual") is not None]
    figure, axes = plt.subplots(figsize=(7, 4), constrained_layout=True)
    tracks: dict[int, tuple[list[int], list[float]]] = {}
    for x, row in enumerate(rows, start=1):
        residuals = row["residual"] if isinstance(row["residual"], list) else [row["residual"]]
        # After pruning a row tells which particles its numbers belong to.
        names = row.get("particles") if isinstance(row.get("particles"), list) else range(len(residuals))
        for name, residual in zip(names, residuals, strict=True):
            steps, values = tracks.setdefault(int(name), ([], []))
            steps.append(x)
            values.append(math.nan if residual is None else residual)
    blind = next((table["blind"] for table in metrics.get("quality", [])), None)
    for name, (steps, values) in sorted(tracks.items()):
        chosen = name == blind
        label = f"particle {name}" + (" (blind choice)" if chosen else "")
        axes.plot(steps, values, label=label, linewidth=2.4 if chosen else 1.2)
    floor = metrics.get("measurement", {}).get("noise_floor")
    if floor:
        axes.axhline(floor, color="black", linestyle="--", linewidth=1, label="noise floor")
    axes.set(xlabel="annealing step", ylabel="residual \u2016A(x) \u2212 y\u2016²", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(picture, dpi=150)
    plt.close(figure)


def draw_overview(metrics: dict[str, Any], files: list[Path], picture: Path) -> None:
    """Write one row of pictures to ``picture``: what was measured, the measurement, then every particle, aligned.

    files: the picture, the measurement's, and one per particle, in this order.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    quality = metrics["quality"][0]
    titles = ["picture", "measurement\n(log amplitude)"]
    for row in quality["particles"]:
        psnr = row["aligned"]["psnr"]
        score = "failed" if psnr is None else f"{psnr:.1f} dB"
        titles.append(f"particle {row['particle']}\n{score}")
    figure, axes = plt.subplots(1, len(files), figsize=(1.9 * len(files), 2.5), constrained_layout=True)
    for number, (ax, file, title) in enumerate(zip(axes, files, titles, strict=True)):
        chosen = number >= 2 and quality["particles"][number - 2]["particle"] == quality["blind"]
        ax.imshow(plt.imread(file), interpolation="nearest")
        ax.set_title(title + (", blind choice" if chosen else ""), fontsize=9, weight="bold" if chosen else "normal")
        ax.axis("off")
    figure.savefig(picture, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    record, residuals, *overview = (Path(argument) for argument in sys.argv[1:])
    facts = json.loads(record.read_text(encoding="utf-8"))
    draw_residuals(facts, residuals)
    if overview:
        draw_overview(facts, overview[1:], overview[0])
