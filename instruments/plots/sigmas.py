"""Schedules as a picture: sigma, sigma on a logarithmic axis, and the length of each step in half log-SNR.

The third panel is what a sampler feels: an exponential integrator errs by a power of that length, so even steps there
are good news, and a peak is where the picture is decided in one go. Drawn with Pillow, which every host has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from PIL import Image, ImageDraw

from .drawing import PAPER, Axis, Pen, round_numbers

__all__ = ["ON_A_NODE", "Schedule", "plot_schedules"]

#: For a picture that a node of 520 pixels shows: its letters are those of the editor at 100 %.
ON_A_NODE = {"width": 480, "panel_height": 110, "scale": 2}

FAINT = (224, 226, 230)
COLOURS = ((31, 119, 180), (214, 39, 40), (44, 160, 44), (148, 103, 189), (255, 127, 14), (0, 150, 170))
LEFT, RIGHT, GAP, TITLE, BOTTOM = 62, 24, 18, 30, 26  # around a panel, in pixels
LINE = 22  # of the legend
TITLE_SIZE, LABEL = 14, 12  # letters, in pixels
TICK_WIDTH = 36  # of a number below a panel, with its gap
FINER = 2  # drawn larger and shrunk, which smooths the lines


@dataclass(frozen=True)
class Schedule:
    """One line of the picture: its name, its levels ``[n + 1]``, and their half log-SNR (±infinity is allowed)."""

    name: str
    sigmas: tuple[float, ...]
    half_log_snr: tuple[float, ...]


def plot_schedules(
    schedules: Sequence[Schedule], width: int = 960, panel_height: int = 200, scale: int = 1
) -> torch.Tensor:
    """IMAGE ``[1, H, W, 3]`` in [0, 1] with one line per schedule and three panels.

    Args:
        schedules: what is drawn.
        width, panel_height: in the pixels of the screen where the picture is shown; letters have fixed sizes there.
        scale: pixels of the picture to one of the screen, so that it stays sharp when zoomed into.

    Raises:
        ValueError: nothing to draw, or sigmas that are not finite.
    """
    shown = [schedule for schedule in schedules if len(schedule.sigmas) > 1]
    if not shown:
        raise ValueError("none of the schedules has a step; connect sigmas with at least two levels.")
    if not all(math.isfinite(sigma) for schedule in shown for sigma in schedule.sigmas):
        raise ValueError("the sigmas contain NaN or infinity; connect a scheduler's output.")
    top = GAP + LINE * len(schedules)
    height = top + 3 * (TITLE + panel_height + BOTTOM)
    picture = Image.new("RGB", (width * scale * FINER, height * scale * FINER), PAPER)
    pen = Pen(ImageDraw.Draw(picture), scale * FINER)
    steps = max(len(schedule.sigmas) - 1 for schedule in shown)
    for k, schedule in enumerate(schedules):
        y = GAP / 2 + LINE * (k + 0.5)
        pen.line([(LEFT, y), (LEFT + 28, y)], _colour(k), 3)
        pen.text((LEFT + 38, y), _caption(schedule), LABEL, "lm")
    panels = (
        ("sigma at each step", [_linear(schedule) for schedule in schedules], False),
        ("sigma, logarithmic axis", [_logarithms(schedule) for schedule in schedules], True),
        ("step length in half log-SNR", [_step_lengths(schedule) for schedule in schedules], False),
    )
    for row, (title, lines, is_logarithmic) in enumerate(panels):
        y = top + row * (TITLE + panel_height + BOTTOM) + TITLE
        box = (LEFT, y, width - RIGHT, y + panel_height)
        has_infinite = any(math.isinf(value) for line in lines for _, value in line)
        pen.text((LEFT, y - 12), title + (_INFINITE[is_logarithmic] if has_infinite else ""), TITLE_SIZE, "lm")
        _panel(pen, box, lines, steps, is_logarithmic)
    picture = picture.resize((width * scale, height * scale), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)[None]


_INFINITE = {True: "   (triangle: 0)", False: "   (triangle: infinite)"}
_Line = list[tuple[float, float]]


def _linear(schedule: Schedule) -> _Line:
    return list(enumerate(schedule.sigmas))


def _logarithms(schedule: Schedule) -> _Line:
    return [(i, math.log10(s) if s > 0 else -math.inf) for i, s in enumerate(schedule.sigmas)]


def _step_lengths(schedule: Schedule) -> _Line:
    levels = schedule.half_log_snr
    # Between two infinities of one sign there is no step; elsewhere a length, drawn in the middle of its step.
    pairs = [(i, after - before) for i, (before, after) in enumerate(pairwise(levels))]
    return [(i + 0.5, length) for i, length in pairs if not math.isnan(length)]


def _caption(schedule: Schedule) -> str:
    if len(schedule.sigmas) < 2:
        return f"{schedule.name}: no steps"
    n = len(schedule.sigmas) - 1
    return f"{schedule.name}: {n} step{'s' * (n > 1)}, {schedule.sigmas[0]:.4g} to {schedule.sigmas[-1]:.4g}"


def _colour(k: int) -> tuple[int, int, int]:
    return COLOURS[k % len(COLOURS)]


def _panel(
    pen: Pen, box: tuple[float, float, float, float], lines: list[_Line], steps: int, is_logarithmic: bool
) -> None:
    left, top, right, bottom = box
    values = [value for line in lines for _, value in line if math.isfinite(value)] or [0.0]
    low, high = min(values), max(values)
    if not is_logarithmic:
        low, high = min(low, 0.0), max(high, 0.0)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    room = 0.05 * (high - low)
    x, y = Axis(0, steps, left, right), Axis(low - room, high + room, bottom, top)
    ticks = list(range(math.ceil(low), math.floor(high) + 1)) if is_logarithmic else round_numbers(low, high)
    for value in ticks if len(ticks) > 1 or not is_logarithmic else (low, high):
        pen.line([(left, y(value)), (right, y(value))], FAINT, 1)
        pen.text((left - 8, y(value)), f"{10**value if is_logarithmic else value:.4g}", LABEL, "rm")
    at_most = min(10, int((right - left) / TICK_WIDTH))
    for step in sorted({round(each) for each in round_numbers(0, steps, at_most)}):
        pen.line([(x(step), top), (x(step), bottom)], FAINT, 1)
        pen.text((x(step), bottom + 6), str(step), LABEL, "mt")
    drawn: list[float] = []
    for k, line in enumerate(lines):
        finite = [(x(i), y(value)) for i, value in line if math.isfinite(value)]
        pen.line(finite, _colour(k), 2)
        for point in finite if steps <= 60 else ():
            pen.dot(point, _colour(k))
        for i, value in line:
            if math.isinf(value):
                # Side by side, away from the edge, where several schedules have one at the same step.
                shift = 10 * drawn.count(i) * (1 if i < steps / 2 else -1)
                pen.triangle((x(i) + shift, top if value > 0 else bottom), value > 0, _colour(k))
                drawn.append(i)
