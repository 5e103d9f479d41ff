"""A guider's record as a picture: one panel per quantity, one line per item of the batch, over sigma."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ..guidance_record import GuidanceRecord

__all__ = ["ON_A_NODE", "plot_record"]

#: For a picture that a node of 520 pixels shows: its letters are those of the editor at 100 %.
ON_A_NODE = {"width": 480, "panel_height": 150, "scale": 2}

INK, FAINT, PAPER = (32, 33, 36), (218, 220, 224), (255, 255, 255)
COLOURS = ((31, 119, 180), (214, 39, 40), (44, 160, 44), (148, 103, 189), (255, 127, 14), (23, 190, 207))
LEFT, RIGHT, TOP, BOTTOM = 76, 16, 34, 30  # of a panel, in pixels
HEADING, TITLE, LABEL = 16, 13, 11  # letters, in pixels
TICK_WIDTH = 84  # of a label below a panel, with its gap


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
    draw = _Pen(ImageDraw.Draw(picture), scale)
    title = record.title if shown else f"{record.title}: nothing was recorded"
    draw.text((LEFT, 10), title, HEADING)
    sigmas = [float(row["sigma"]) for row in record.rows]
    for k, name in enumerate(shown):
        box = (LEFT, TOP * 2 + k * panel_height, width - RIGHT, TOP + (k + 1) * panel_height - BOTTOM)
        draw.text((LEFT, box[1] - 20), record.quantities[name], TITLE)
        _panel(draw, box, tracks[name], sigmas)
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)[None]


def _panel(
    draw: _Pen, box: tuple[int, int, int, int], items: Sequence[Sequence[float]], sigmas: Sequence[float]
) -> None:
    values = [value for item in items for value in item if math.isfinite(value)]
    logarithmic = min(values) > 0 and max(values) > 10 * min(values)
    scale = math.log10 if logarithmic else float
    low, high = scale(min(values)), scale(max(values))
    if high - low < 1e-12 * max(abs(high), 1e-300):
        low, high = (low - 0.5, high + 0.5) if logarithmic else (low - abs(low) / 2 - 1e-9, high + abs(high) / 2 + 1e-9)
    left, top, right, bottom = box

    def point(call: int, value: float) -> tuple[float, float]:
        x = (call + 0.5) / len(sigmas)
        return left + x * (right - left), bottom - (scale(value) - low) / (high - low) * (bottom - top)

    for share in (0.0, 0.5, 1.0):
        y, value = bottom - share * (bottom - top), low + share * (high - low)
        draw.line([(left, y), (right, y)], FAINT, 1)
        label = f"{10**value if logarithmic else value:.3g}"
        draw.text((left - 6, y), label, LABEL, "rm")
    ticks = max(2, int((right - left) / TICK_WIDTH))
    for call in sorted({round(k * (len(sigmas) - 1) / (ticks - 1)) for k in range(ticks)}):
        x, _ = point(call, values[0])
        inside = right + RIGHT - TICK_WIDTH / 2  # the last label stays within the picture
        draw.text((min(x, inside), bottom + 8), f"sigma {sigmas[call]:.3g}", LABEL, "mt")
    for k, item in enumerate(items):
        colour = COLOURS[k % len(COLOURS)]
        for run in _runs(item):
            points = [point(call, item[call]) for call in run]
            if len(points) > 1:
                draw.line(points, colour, 2)
            else:
                x, y = points[0]
                draw.dot((x, y), colour)


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


class _Pen:
    """Draws in the screen's pixels on a picture of ``scale`` times as many."""

    def __init__(self, draw: ImageDraw.ImageDraw, scale: int) -> None:
        self.draw, self.scale = draw, scale

    def _at(self, point: tuple[float, float]) -> tuple[float, float]:
        return point[0] * self.scale, point[1] * self.scale

    def line(self, points: Sequence[tuple[float, float]], colour: tuple[int, int, int], width: int) -> None:
        self.draw.line([self._at(point) for point in points], fill=colour, width=width * self.scale)

    def dot(self, point: tuple[float, float], colour: tuple[int, int, int], radius: float = 2.0) -> None:
        (x, y), r = self._at(point), radius * self.scale
        self.draw.ellipse([x - r, y - r, x + r, y + r], fill=colour)

    def text(self, point: tuple[float, float], text: str, size: int, anchor: str = "la") -> None:
        font = ImageFont.load_default(size * self.scale)
        self.draw.text(self._at(point), text, fill=INK, font=font, anchor=anchor)
