"""A guider's record as a picture: one panel per quantity, one line per item of the batch, over sigma."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw

from ..guidance_record import GuidanceRecord
from .drawing import INK, PAPER, Axis, Colour, Pen

__all__ = ["INK", "ON_A_NODE", "plot_record"]

#: For a picture that a node of 520 pixels shows: its letters are those of the editor at 100 %.
ON_A_NODE = {"width": 480, "panel_height": 150, "scale": 2}

FAINT: Colour = (218, 220, 224)
COLOURS: tuple[Colour, ...] = (
    (31, 119, 180),
    (214, 39, 40),
    (44, 160, 44),
    (148, 103, 189),
    (255, 127, 14),
    (23, 190, 207),
)
LEFT, RIGHT, TOP, BOTTOM = 76, 16, 34, 30  # of a panel, in pixels
HEADING, TITLE, LABEL = 16, 13, 11  # letters, in pixels
TICK_WIDTH = 84  # of a label below a panel, with its gap

#: left, top, right, bottom
_Box = tuple[int, int, int, int]


def plot_record(record: GuidanceRecord, width: int = 768, panel_height: int = 200, scale: int = 1) -> torch.Tensor:
    """IMAGE ``[1, H, W, 3]`` in [0, 1]. Quantities that were never measured have no panel.

    Positive values have a logarithmic axis when they span more than a factor of ten. Calls run from left to right.

    Args:
        record: what a guider noted.
        width, panel_height: in the pixels of the screen where the picture is shown; letters have fixed sizes there.
        scale: pixels of the picture to one of the screen, so that it stays sharp when zoomed into.
    """
    tracks = {name: record.series(name) for name in record.quantities}
    shown = [name for name, items in tracks.items() if any(map(math.isfinite, (v for item in items for v in item)))]
    height = TOP + panel_height * max(len(shown), 1)
    picture = Image.new("RGB", (width * scale, height * scale), PAPER)
    pen = Pen(ImageDraw.Draw(picture), scale)
    title = record.title if shown else f"{record.title}: nothing was recorded"
    pen.text((LEFT, 10), title, HEADING)
    sigmas = [float(row["sigma"]) for row in record.rows]
    for k, name in enumerate(shown):
        box = (LEFT, TOP * 2 + k * panel_height, width - RIGHT, TOP + (k + 1) * panel_height - BOTTOM)
        pen.text((LEFT, box[1] - 20), record.quantities[name], TITLE)
        _panel(pen, box, tracks[name], sigmas)
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)[None]


@dataclass(frozen=True)
class _Values:
    """The vertical axis of a panel: values to heights, along their logarithms or not."""

    axis: Axis
    is_logarithmic: bool

    @classmethod
    def of(cls, values: Sequence[float], top: float, bottom: float) -> _Values:
        """From the smallest of finite ``values`` at the bottom to the largest at the top."""
        is_logarithmic = min(values) > 0 and max(values) > 10 * min(values)
        along: Callable[[float], float] = math.log10 if is_logarithmic else float
        low, high = along(min(values)), along(max(values))
        if high - low < 1e-12 * max(abs(high), 1e-300):
            below, above = (0.5, 0.5) if is_logarithmic else (abs(low) / 2 + 1e-9, abs(high) / 2 + 1e-9)
            low, high = low - below, high + above
        return cls(Axis(low, high, bottom, top), is_logarithmic)

    def __call__(self, value: float) -> float:
        return self.axis(math.log10(value) if self.is_logarithmic else value)

    def ticks(self) -> list[tuple[float, str]]:
        """Heights and labels: the ends and the middle."""
        shown = [self.axis.low + share * (self.axis.high - self.axis.low) for share in (0.0, 0.5, 1.0)]
        return [(self.axis(each), f"{10**each if self.is_logarithmic else each:.3g}") for each in shown]


def _panel(pen: Pen, box: _Box, items: Sequence[Sequence[float]], sigmas: Sequence[float]) -> None:
    left, top, right, bottom = box
    heights = _Values.of([value for item in items for value in item if math.isfinite(value)], top, bottom)
    calls = Axis(-0.5, len(sigmas) - 0.5, left, right)
    for y, label in heights.ticks():
        pen.line([(left, y), (right, y)], FAINT, 1)
        pen.text((left - 6, y), label, LABEL, "rm")
    ticks = max(2, int((right - left) / TICK_WIDTH))
    for call in sorted({round(k * (len(sigmas) - 1) / (ticks - 1)) for k in range(ticks)}):
        inside = right + RIGHT - TICK_WIDTH / 2  # the last label stays within the picture
        pen.text((min(calls(call), inside), bottom + 8), f"sigma {sigmas[call]:.3g}", LABEL, "mt")
    for k, item in enumerate(items):
        for run in _runs(item):
            points = [(calls(call), heights(item[call])) for call in run]
            pen.line(points, COLOURS[k % len(COLOURS)], 2)
            if len(points) == 1:
                pen.dot(points[0], COLOURS[k % len(COLOURS)], 2.0)


def _runs(values: Sequence[float]) -> list[list[int]]:
    """Stretches of consecutive indices with finite values."""
    runs: list[list[int]] = []
    for k, value in enumerate(values):
        if math.isfinite(value):
            if runs and runs[-1][-1] == k - 1:
                runs[-1].append(k)
            else:
                runs.append([k])
    return runs
