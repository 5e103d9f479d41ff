"""Drawing with Pillow, which every host has: a pen in the screen's pixels, an axis, and round numbers along it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageDraw, ImageFont

__all__ = ["INK", "PAPER", "Axis", "Colour", "Pen", "round_numbers"]

Colour = tuple[int, int, int]
INK: Colour = (32, 33, 36)
PAPER: Colour = (255, 255, 255)


@dataclass(frozen=True)
class Axis:
    """Values from ``low`` to ``high`` as pixels from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


class Pen:
    """Draws in the screen's pixels on a canvas of ``scale`` times as many, so that it stays sharp when zoomed into."""

    def __init__(self, draw: ImageDraw.ImageDraw, scale: int) -> None:
        self.draw, self.scale = draw, scale

    def line(self, points: Sequence[tuple[float, float]], colour: Colour, width: int) -> None:
        """Through at least two points; fewer are no line."""
        if len(points) > 1:
            scaled = [(x * self.scale, y * self.scale) for x, y in points]
            self.draw.line(scaled, colour, width * self.scale, joint="curve")

    def dot(self, point: tuple[float, float], colour: Colour, radius: float = 3.0) -> None:
        """A filled circle."""
        x, y, r = (value * self.scale for value in (*point, radius))
        self.draw.ellipse([x - r, y - r, x + r, y + r], fill=colour)

    def triangle(self, tip: tuple[float, float], is_upward: bool, colour: Colour) -> None:
        """At an edge, for a value beyond it."""
        x, y, r = (value * self.scale for value in (*tip, 5))
        away = r * 1.6 if is_upward else -r * 1.6
        self.draw.polygon([(x, y), (x - r, y + away), (x + r, y + away)], fill=colour)

    def text(self, at: tuple[float, float], text: str, size: int, anchor: str = "la") -> None:
        """size: of the letters, in the screen's pixels. anchor: Pillow's name of the point that is ``at``."""
        font = ImageFont.load_default(size * self.scale)
        self.draw.text((at[0] * self.scale, at[1] * self.scale), text, fill=INK, font=font, anchor=anchor)


def round_numbers(low: float, high: float, at_most: int = 6) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten from low to high.

    >>> round_numbers(0, 50)
    [0, 10, 20, 30, 40, 50]
    """
    rough = (high - low) / at_most
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return [k * step for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
