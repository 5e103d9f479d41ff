"""The glyphs of Emoji-64: rendered from Noto Color Emoji, classed and split; and the pictures made from them.

Needs Debian's ``fonts-noto-color-emoji`` and ``unicode-data`` and Pillow with raqm (joined sequences). Only training
uses this file: the pack itself ships weights and a few held-out pictures.

The split holds out 5 % of the *base* glyphs, so that the skin tones, hair styles and genders of one drawing are never
on both sides. It is a function of the Unicode list alone.
"""

from __future__ import annotations

import colorsys
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .classes import CLASSES

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
EMOJI_LIST = Path("/usr/share/unicode/emoji/emoji-test.txt")
SIZE = 64
CANONICAL_GLYPH = 58
_CANVAS = 136
_FONT_PIXELS = 109  # the only strike in the font's bitmap table
HELD_OUT_FRACTION = 0.05

#: What training may do to a glyph (`Augmentation`): bounds that `nearest` searches as well.
HEIGHTS = (42, SIZE - 1)
WIDTHS = (40, SIZE)
ASPECT = (0.94, 1.06)
MOST_ANGLE = 15.0
MOST_HUE = 0.5
SATURATION = (0.6, 1.1)

BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "white": (255, 255, 255),
    "night": (32, 32, 40),
    "cream": (250, 230, 180),
    "sky": (190, 220, 245),
    "mint": (200, 235, 200),
    "rose": (240, 205, 215),
    "grey": (128, 128, 128),
    "denim": (70, 90, 140),
}

_SKIN_TONES = range(0x1F3FB, 0x1F400)
_HAIR = range(0x1F9B0, 0x1F9B4)
_JOINERS_AND_SIGNS = (0xFE0F, 0x200D, 0x2640, 0x2642)
_NEUTRAL = {0x1F468: 0x1F9D1, 0x1F469: 0x1F9D1, 0x1F466: 0x1F9D2, 0x1F467: 0x1F9D2}
_GROUP_CLASS = {"Food & Drink": "food", "Activities": "activity", "Objects": "object", "Symbols": "symbol"}


@dataclass(frozen=True)
class Glyphs:
    """``rgba`` uint8 ``[N, 136, 136, 4]`` (centred, natural size), class index, name, base glyph, held out or not."""

    rgba: np.ndarray
    label: np.ndarray
    name: np.ndarray
    base: np.ndarray
    held_out: np.ndarray

    def save(self, path: Path) -> None:
        """Write an npz archive."""
        np.savez_compressed(path, **vars(self))

    @staticmethod
    def load(path: Path) -> Glyphs:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as archive:
            return Glyphs(**{key: archive[key] for key in archive.files})


def base_glyph(sequence: tuple[int, ...]) -> tuple[int, ...]:
    """The code points of a sequence without skin tone, hair, gender and joiners; adults and children made neutral."""
    dropped = (*_JOINERS_AND_SIGNS, *_SKIN_TONES, *_HAIR)
    return tuple(_NEUTRAL.get(code, code) for code in sequence if code not in dropped)


def class_of(group: str, subgroup: str) -> str:
    """Emoji-64 class of a Unicode group and subgroup."""
    if group == "Smileys & Emotion":
        return "symbol" if subgroup in ("heart", "emotion") else "face"
    if group == "People & Body":
        return "gesture" if subgroup.startswith("hand") or subgroup == "body-parts" else "person"
    if group == "Animals & Nature":
        return "plant" if subgroup.startswith("plant") else "animal"
    if group == "Travel & Places":
        return "transport" if subgroup.startswith("transport") else "place"
    return "flag" if group == "Flags" else _GROUP_CLASS[group]


def read_emoji_list(path: Path = EMOJI_LIST) -> list[tuple[tuple[int, ...], str, str]]:
    """(code points, name, class) of every fully-qualified emoji, in Unicode's order."""
    rows, group, subgroup = [], "", ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# group:"):
            group = line.removeprefix("# group:").strip()
        elif line.startswith("# subgroup:"):
            subgroup = line.removeprefix("# subgroup:").strip()
        elif "; fully-qualified" in line:
            sequence = tuple(int(code, 16) for code in line.split(";")[0].split())
            name = re.sub(r"^.*# \S+ E[\d.]+ ", "", line.strip())
            rows.append((sequence, name, class_of(group, subgroup)))
    return rows


def hold_out(bases: list[tuple[int, ...]]) -> np.ndarray:
    """Which glyphs are held out: 5 % of the distinct base glyphs, shuffled with seed 0 after sorting."""
    distinct = sorted(set(bases))
    np.random.RandomState(0).shuffle(distinct)
    chosen = set(distinct[: round(HELD_OUT_FRACTION * len(distinct))])
    return np.array([base in chosen for base in bases])


def render_glyphs(font_path: Path = FONT, list_path: Path = EMOJI_LIST) -> Glyphs:
    """Render the whole font; sequences that it does not join, and pictures already seen, are left out."""
    for path, package in ((font_path, "fonts-noto-color-emoji"), (list_path, "unicode-data")):
        if not path.is_file():
            raise ValueError(f"{path} is missing: install the Debian package {package}.")
    font = ImageFont.truetype(str(font_path), _FONT_PIXELS, layout_engine=ImageFont.Layout.RAQM)
    pictures, names, labels, bases, seen = [], [], [], [], set()
    for sequence, name, klass in read_emoji_list(list_path):
        picture = _render_one(font, "".join(map(chr, sequence)))
        if picture is None or picture.tobytes() in seen:
            continue
        seen.add(picture.tobytes())
        pictures.append(np.asarray(picture))
        names.append(name)
        labels.append(CLASSES.index(klass))
        bases.append(base_glyph(sequence))
    keys = np.array(["-".join(f"{code:X}" for code in base) for base in bases])
    return Glyphs(np.stack(pictures), np.array(labels, np.uint8), np.array(names), keys, hold_out(bases))


def _render_one(font: ImageFont.FreeTypeFont, text: str) -> Image.Image | None:
    if not 60 <= font.getlength(text) <= 150:  # an unjoined sequence is two glyphs wide
        return None
    page = Image.new("RGBA", (160, 160), (0, 0, 0, 0))
    ImageDraw.Draw(page).text((12, 12), text, font=font, embedded_color=True)
    rows, columns = np.where(np.asarray(page)[..., 3] > 8)
    if rows.size == 0:
        return None
    ink = page.crop((int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1))
    canvas = Image.new("RGBA", (_CANVAS, _CANVAS), (0, 0, 0, 0))
    canvas.paste(ink, ((_CANVAS - ink.width) // 2, (_CANVAS - ink.height) // 2))
    return canvas


def compose(
    rgba: np.ndarray,
    background: tuple[float, float, float] | np.ndarray,
    size: tuple[int, int] = (CANONICAL_GLYPH, CANONICAL_GLYPH),
    offset: tuple[int, int] | None = None,
    angle: float = 0.0,
) -> np.ndarray:
    """Put a glyph on a plain background: uint8 ``[64, 64, 3]``.

    ``size`` is (height, width) of the whole 136-pixel canvas after resizing, ``offset`` its top left corner (centred
    when None), ``angle`` in degrees. Resizing works on premultiplied colours, or dark rims would appear.
    """
    pixels = rgba.astype(np.float32)
    pixels[..., :3] *= pixels[..., 3:] / 255
    channels = [Image.fromarray(pixels[..., c]) for c in range(4)]
    if angle:
        channels = [c.rotate(angle, Image.Resampling.BICUBIC) for c in channels]
    height, width = size
    glyph = np.stack([np.asarray(c.resize((width, height), Image.Resampling.LANCZOS)) for c in channels], axis=-1)
    glyph = glyph.clip(0, 255)
    top, left = offset if offset is not None else ((SIZE - height) // 2, (SIZE - width) // 2)
    picture = np.broadcast_to(np.asarray(background, np.float32), (SIZE, SIZE, 3)).copy()
    window = picture[top : top + height, left : left + width]
    window *= 1 - glyph[..., 3:] / 255
    window += glyph[..., :3]
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)


def recolour(rgba: np.ndarray, hue: float, saturation: float = 1.0) -> np.ndarray:
    """``rgba`` with its hue moved by ``hue`` turns of the colour circle and its saturation multiplied: same shape."""
    hsv = np.array(Image.fromarray(np.ascontiguousarray(rgba[..., :3])).convert("HSV"))
    hsv[..., 0] = (hsv[..., 0].astype(int) + int(255 * hue)) % 256
    if saturation != 1.0:
        hsv[..., 1] = np.clip(hsv[..., 1] * saturation, 0, 255)
    rgb = np.asarray(Image.fromarray(hsv, "HSV").convert("RGB"))
    return np.concatenate([rgb, rgba[..., 3:]], axis=-1)


class Augmentation:
    """Random training pictures from the glyphs that are not held out; every draw comes from the given generator.

    Base glyphs with many variants (skin tones, families) are drawn less often per variant: weight count^-0.6.
    Half of the pictures keep the canonical size and place, the others are shrunk, moved anywhere inside the frame,
    turned. Backgrounds: mostly the eight canonical colours, the rest black or dark, or any colour.
    """

    def __init__(self, glyphs: Glyphs) -> None:
        self.glyphs = glyphs
        self.index = np.where(~glyphs.held_out)[0]
        _, inverse, count = np.unique(glyphs.base[self.index], return_inverse=True, return_counts=True)
        weight = count[inverse].astype(np.float64) ** -0.6
        self.weight = weight / weight.sum()
        self.backgrounds = np.array(list(BACKGROUNDS.values()), np.float32)

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        """One picture uint8 ``[64, 64, 3]`` and its class index."""
        i = rng.choice(self.index, p=self.weight)
        rgba = self.glyphs.rgba[i]
        if rng.random() < 0.5:
            rgba = rgba[:, ::-1]
        if rng.random() < 0.35:
            rgba = self._recolour(rgba, rng)
        size, offset, angle = (CANONICAL_GLYPH, CANONICAL_GLYPH), None, 0.0
        if rng.random() < 0.5:
            height = int(rng.integers(HEIGHTS[0], HEIGHTS[1] + 1))
            width = int(np.clip(round(height * rng.uniform(*ASPECT)), *WIDTHS))
            size = (height, width)
            offset = (int(rng.integers(0, SIZE - height + 1)), int(rng.integers(0, SIZE - width + 1)))
            angle = rng.uniform(-MOST_ANGLE, MOST_ANGLE) if rng.random() < 0.4 else 0.0
        return compose(rgba, self._background(rng), size, offset, angle), int(self.glyphs.label[i])

    def batch(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """``count`` pictures uint8 ``[count, 64, 64, 3]`` and class indices uint8 ``[count]``."""
        pictures = np.empty((count, SIZE, SIZE, 3), np.uint8)
        labels = np.empty(count, np.uint8)
        for k in range(count):
            pictures[k], labels[k] = self.draw(rng)
        return pictures, labels

    @staticmethod
    def _recolour(rgba: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        reach = 0.08 if rng.random() < 0.75 else MOST_HUE
        hue = rng.uniform(-reach, reach)
        return recolour(rgba, hue, rng.uniform(*SATURATION) if rng.random() < 0.3 else 1.0)

    def _background(self, rng: np.random.Generator) -> np.ndarray:
        kind = rng.random()
        if kind < 0.65:
            return self.backgrounds[rng.integers(len(self.backgrounds))]
        if kind < 0.75:
            return np.zeros(3, np.float32)
        dark = kind < 0.82
        value = rng.uniform(0.0, 0.3) if dark else rng.uniform(0.15, 1.0)
        return 255 * np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 0.6), value), np.float32)
