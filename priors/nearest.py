"""The nearest picture that training could have drawn to a held-out one.

A held-out base glyph is no training glyph, but emoji repeat themselves: a hand that points left is the mirror image of
one that points right, and a circle is a circle in another colour. So each held-out picture is compared with the
training glyphs under everything that training does to them (`data.Augmentation`): mirrored, recoloured, resized, moved,
turned.

1. Every training glyph in 10 hues, 5 sizes, 3 angles and both orientations, centred, averaged over 4x4 pixels. There
   the squared error is at most what it is at full size, and it is a matrix product away.
2. The most promising at full size, drawn by training's own `compose`, improved one parameter at a time.

What is found is a training picture, so its PSNR is a lower bound of the nearest one's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample

from .data import ASPECT, CANONICAL_GLYPH, HEIGHTS, MOST_ANGLE, MOST_HUE, SATURATION, SIZE, WIDTHS, compose, recolour

HUES = (0.0, -0.06, 0.06, -0.14, 0.14, -0.24, 0.24, -0.36, 0.36, 0.5)
SIZES = (44, 50, 54, CANONICAL_GLYPH, 62)
ANGLES = (-12.0, 0.0, 12.0)
COARSE = 16
_CHUNK = 60


@dataclass(frozen=True)
class Placement:
    """What is done to a glyph before it is laid on a background; see `data.compose` and `data.recolour`."""

    mirrored: bool = False
    hue: float = 0.0
    saturation: float = 1.0
    height: int = CANONICAL_GLYPH
    width: int = CANONICAL_GLYPH
    top: int = (SIZE - CANONICAL_GLYPH) // 2
    left: int = (SIZE - CANONICAL_GLYPH) // 2
    angle: float = 0.0

    def is_drawn_in_training(self) -> bool:
        """Whether `data.Augmentation` can draw it."""
        widths = [int(np.clip(round(self.height * a), *WIDTHS)) for a in ASPECT]
        return (
            HEIGHTS[0] <= self.height <= HEIGHTS[1]
            and widths[0] <= self.width <= widths[1]
            and 0 <= self.top <= SIZE - self.height
            and 0 <= self.left <= SIZE - self.width
            and abs(self.angle) <= MOST_ANGLE
            and abs(self.hue) <= MOST_HUE
            and SATURATION[0] <= self.saturation <= SATURATION[1]
        )

    def picture(self, rgba: np.ndarray, background: np.ndarray) -> np.ndarray:
        """The training picture uint8 ``[64, 64, 3]`` of the glyph ``rgba`` ``[136, 136, 4]``."""
        rgba = rgba[:, ::-1] if self.mirrored else rgba
        if self.hue or self.saturation != 1.0:
            rgba = recolour(rgba, self.hue, self.saturation)
        return compose(rgba, background, (self.height, self.width), (self.top, self.left), self.angle)

    def neighbours(self, step: int) -> Iterator[Placement]:
        """Placements in which one parameter is another by ``step`` units; the size also about the middle."""
        for by in (-step, step):
            yield replace(self, top=self.top + by)
            yield replace(self, left=self.left + by)
            yield replace(self, height=self.height + by, top=self.top - by // 2)
            yield replace(self, width=self.width + by, left=self.left - by // 2)
            yield replace(
                self, height=self.height + by, width=self.width + by, top=self.top - by // 2, left=self.left - by // 2
            )
            yield replace(self, angle=self.angle + by)
            yield replace(self, hue=self.hue + by / 100)
            yield replace(self, saturation=round(self.saturation + by / 20, 2))


@dataclass(frozen=True)
class Neighbour:
    """The training glyph of this index, so placed, is ``psnr`` dB from the held-out picture."""

    index: int
    placement: Placement
    psnr: float


def psnr_of(a: np.ndarray, b: np.ndarray) -> float:
    """PSNR in dB of two uint8 pictures; infinite when they are equal."""
    mse = np.square(a.astype(np.float32) - b).mean() / 255**2
    return float("inf") if mse == 0 else float(-10 * np.log10(mse))


def nearest(pictures: np.ndarray, backgrounds: np.ndarray, rgba: np.ndarray, finalists: int = 3) -> list[Neighbour]:
    """The nearest training picture of each held-out picture that the search finds.

    Args:
        pictures: held-out, uint8 ``[T, 64, 64, 3]``.
        backgrounds: the plain colour behind each of them, ``[T, 3]`` in 0 to 255.
        rgba: the training glyphs, uint8 ``[N, 136, 136, 4]``.
        finalists: training glyphs that are improved at full size, for each picture.
    """
    error, placement = _coarse(pictures, backgrounds, rgba)
    found = []
    for picture, background, errors, best in zip(pictures, backgrounds, error, placement, strict=True):
        likely = np.argsort(errors)[: 6 * finalists]
        rows = [_measured(picture, background, rgba, i, _placement(best[i])) for i in likely]
        rows.sort(key=lambda row: -row.psnr)
        found.append(max((_improved(picture, background, rgba, row) for row in rows[:finalists]), key=lambda r: r.psnr))
    return found


def _measured(picture: np.ndarray, background: np.ndarray, rgba: np.ndarray, i: int, placed: Placement) -> Neighbour:
    return Neighbour(int(i), placed, psnr_of(placed.picture(rgba[i], background), picture))


def _improved(picture: np.ndarray, background: np.ndarray, rgba: np.ndarray, row: Neighbour) -> Neighbour:
    """Better by one parameter at a time, until no other value of any is."""
    for reach in (4, 2, 1):
        before = None
        while before != row:
            before = row
            for placement in before.placement.neighbours(reach):
                if placement.is_drawn_in_training():
                    tried = _measured(picture, background, rgba, row.index, placement)
                    row = max(row, tried, key=lambda r: r.psnr)
    return row


# ------------------------------------------------------------------------------------------------------------ coarsely

_PLACEMENTS = list(product((False, True), HUES, ANGLES, SIZES))


def _placement(k: int) -> Placement:
    mirrored, hue, angle, size = _PLACEMENTS[k]
    edge = (SIZE - size) // 2
    return Placement(mirrored, hue, 1.0, size, size, edge, edge, angle)


def _coarse(pictures: np.ndarray, backgrounds: np.ndarray, rgba: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smallest coarse squared error ``[T, N]`` of each picture and training glyph, and the number of its placement.

    A picture is b (1 - alpha) + c with premultiplied colours c, so its difference from a plain background is
    c - b alpha, linear in (c, alpha): one product with all held-out pictures at once.
    """
    b = torch.from_numpy(np.asarray(backgrounds, np.float32) / 255)
    ink = torch.from_numpy(pictures).float().permute(0, 3, 1, 2) / 255 - b[..., None, None]
    ink = avg_pool2d(ink, SIZE // COARSE)  # [T, 3, 16, 16]
    against = torch.cat([ink, -(ink * b[..., None, None]).sum(1, keepdim=True)], 1).flatten(1)  # <ink, c - b alpha>
    own = ink.square().flatten(1).sum(1)
    squares = torch.cat(
        [torch.ones(len(b), 1), -2 * b, b.square().sum(1, keepdim=True)], 1
    )  # of |c|^2, <c, alpha>, |alpha|^2
    errors, choices = [], []
    for start in range(0, len(rgba), _CHUNK):
        drawn = _drawn(rgba[start : start + _CHUNK])  # [n, placements, 4, 16, 16]
        c, alpha = drawn[:, :, :3].flatten(3), drawn[:, :, 3:].flatten(3)
        powers = torch.cat([c.square().sum((2, 3))[..., None], (c * alpha).sum(3), alpha.square().sum(3)], -1)
        error = own + powers @ squares.T - 2 * drawn.flatten(2) @ against.T
        low, which = error.min(1)
        errors.append(low.T)
        choices.append(which.T)
    return torch.cat(errors, 1).numpy() / ink[0].numel(), torch.cat(choices, 1).numpy()


def _drawn(rgba: np.ndarray) -> Tensor:
    """Premultiplied glyphs ``[n, placements, 4, 16, 16]`` in [0, 1], in the order of ``_PLACEMENTS``."""
    canvas = np.stack([recolour(glyph, hue) if hue else glyph for glyph in rgba[:, ::2, ::2] for hue in HUES])
    x = torch.from_numpy(canvas).permute(0, 3, 1, 2).float() / 255
    x = avg_pool2d(torch.cat([x[:, :3] * x[:, 3:], x[:, 3:]], 1), 2)
    turned = []
    for angle in np.deg2rad(ANGLES):
        matrix = torch.tensor([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]], dtype=x.dtype)
        turned.append(
            grid_sample(x, affine_grid(matrix.expand(len(x), 2, 3), list(x.shape), False), align_corners=False)
        )
    x = torch.stack(turned, 1)  # [n hues, angles, 4, 34, 34]
    x = torch.stack([_resized(x, size) for size in SIZES], 2)
    x = x.reshape(len(rgba), 1, len(HUES) * len(ANGLES) * len(SIZES), 4, COARSE, COARSE)
    # Mirrored and turned by an angle is the mirror image of: turned by minus that angle.
    back = x.reshape(len(rgba), 1, len(HUES), len(ANGLES), len(SIZES), 4, COARSE, COARSE).flip(3, 7).reshape(x.shape)
    return torch.cat([x, back], 1).flatten(1, 2)


def _resized(x: Tensor, size: int) -> Tensor:
    """Canvases ``[..., 34, 34]`` at ``size`` pixels in the middle of the frame, averaged over 4x4 pixels."""
    cells = x.shape[-1]
    edges = (SIZE - size) / 2 + torch.arange(cells + 1) * size / cells
    blocks = torch.arange(COARSE + 1) * (SIZE / COARSE)
    overlap = torch.minimum(edges[1:], blocks[1:, None]) - torch.maximum(edges[:-1], blocks[:-1, None])
    weights = overlap.clamp(min=0) / (SIZE / COARSE)
    return weights @ x @ weights.T
