"""The picture of ARCHITECTURE.md, drawn from the source: ``python3 lab.py bench architecture``.

A box is a layer, with its files and lines; an arrow is an import that the rules allow and the code makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.patches import FancyBboxPatch

from lab import import_pack

import_pack()

from sampler_lab.labkit.layers import ABOUT, ARROWS, imported_files, layer_of, source_files
from sampler_lab.labkit.places import ROOT

PICTURE = ROOT / "docs" / "images" / "architecture.png"
WIDTH, HEIGHT = 3.7, 1.0
INK, FAINT, BOX, EDGE = "#1f2937", "#6b7280", "#f3f6fb", "#94a3b8"
#: Column and row of every layer, rows from the bottom.
PLACES = {
    "__init__": (1.2, 6),
    "nodes": (1.2, 5),
    "guiders": (-0.3, 4),
    "experiments": (3.1, 4),
    "host": (1.2, 3),
    "labkit": (3.75, 3),
    "samplers": (0.4, 2),
    "schedulers": (1.4, 2),
    "instruments": (2.4, 2),
    "priors": (3.4, 2),
    "posterior": (0.0, 1),
    "metrics": (2.8, 1),
    "operators": (0.0, 0),
    "diffusion": (1.4, -1),
}


@dataclass(frozen=True)
class Layer:
    """A layer with what lies in it."""

    name: str
    files: int
    lines: int

    @property
    def centre(self) -> tuple[float, float]:
        column, row = PLACES[self.name]
        return column * (WIDTH + 0.4), row * (HEIGHT + 0.6)


def layers() -> dict[str, Layer]:
    """Every layer, counted."""
    found = {}
    for name in ARROWS:
        files = [file for file in source_files() if layer_of(file) == name]
        lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
        found[name] = Layer(name, len(files), lines)
    return found


def arrows() -> set[tuple[str, str]]:
    """(from, to) of every import between layers that the rules name."""
    made = {(layer_of(file), layer_of(other)) for file in source_files() for other in imported_files(file)}
    return {(above, below) for above, below in made if below in ARROWS[above]}


def draw(path: Path) -> None:
    """Write the picture."""
    figure, axes = pyplot.subplots(figsize=(14.5, 8.6), dpi=110)
    boxes = layers()
    for above, below in sorted(arrows()):
        (x, y), (x_below, y_below) = boxes[above].centre, boxes[below].centre
        style = {"arrowstyle": "-|>", "color": EDGE, "lw": 1.6, "shrinkA": 0, "shrinkB": 2}
        bottom, top = (x, y - HEIGHT / 2), (x_below, y_below + HEIGHT / 2)
        axes.annotate("", xy=top, xytext=bottom, arrowprops=style, zorder=1)
    for layer in boxes.values():
        x, y = layer.centre
        corner = (x - WIDTH / 2, y - HEIGHT / 2)
        axes.add_patch(FancyBboxPatch(corner, WIDTH, HEIGHT, "round,pad=0.03", fc=BOX, ec=EDGE, zorder=2))
        title = "__init__.py" if layer.name == "__init__" else f"{layer.name}/"
        axes.text(x, y + 0.29, title, ha="center", va="center", color=INK, weight="bold", size=11.5, zorder=3)
        axes.text(x, y, ABOUT[layer.name], ha="center", va="center", color=INK, size=7.8, zorder=3)
        said = f"{layer.files} file{'s' * (layer.files > 1)}, {layer.lines:,} lines"
        axes.text(x, y - 0.29, said, ha="center", va="center", color=FAINT, size=7.6, zorder=3)
    axes.set_aspect("equal")
    axes.autoscale_view()
    axes.axis("off")
    figure.savefig(path, bbox_inches="tight", facecolor="white")
    pyplot.close(figure)


if __name__ == "__main__":
    draw(PICTURE)
    print(PICTURE.relative_to(ROOT))
