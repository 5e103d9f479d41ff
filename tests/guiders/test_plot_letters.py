"""Plots on nodes can be read at 100 %: no letter is smaller than 11 pixels of the screen, and all of them fit."""

from __future__ import annotations

import json
import math

import pytest
from PIL import ImageDraw, ImageFont
from sampler_lab.instruments.guidance_record import GuidanceRecord
from sampler_lab.instruments.plots import guidance
from sampler_lab.instruments.plots import sigmas as schedules
from sampler_lab.labkit.places import TEMPLATES

SMALLEST = 11.0
NODE_MARGIN = 20  # what a node keeps beside a picture


def pictures():
    sigmas = [80 * 0.7**k for k in range(40)] + [0.0]
    levels = [-math.log(sigma) if sigma else math.inf for sigma in sigmas]
    name = "karras, as a KSampler takes it for dpm_2"
    yield (
        "SamplerLabPlotSigmas",
        schedules,
        lambda: schedules.plot_schedules(
            [schedules.Schedule(name, tuple(sigmas), tuple(levels))] * 2, **schedules.ON_A_NODE
        ),
    )
    record = GuidanceRecord("Particle guider", {"gap": "mean distance of two items (rms, feature space)"})
    for sigma in sigmas[:-1]:
        record.add(sigma, gap=[1 / sigma])
    yield "SamplerLabPlotGuidance", guidance, lambda: guidance.plot_record(record, **guidance.ON_A_NODE)


@pytest.mark.parametrize(("node_type", "module", "draw"), list(pictures()), ids=lambda value: str(value)[:22])
def test_letters_are_large_enough_and_inside(monkeypatch, node_type, module, draw):
    finer = getattr(module, "FINER", 1)
    drawn = []
    original = ImageDraw.ImageDraw.text

    def text(self, xy, words, *given, font=None, anchor="la", **more):
        drawn.append((font.size, self.textbbox(xy, words, font=font, anchor=anchor), self.im.size, words))
        return original(self, xy, words, *given, font=font, anchor=anchor, **more)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    picture = draw()
    width = picture.shape[2]
    widths = [
        node["size"][0] - NODE_MARGIN
        for path in TEMPLATES.glob("*.json")
        for node in json.loads(path.read_text(encoding="utf-8"))["nodes"]
        if node["type"] == node_type
    ]
    assert widths, "a template shows this plot"
    shrunk = min(1.0, min(widths) / width)  # the canvas never enlarges
    assert drawn
    for size, (left, top, right, bottom), (limit_x, limit_y), words in drawn:
        assert size / finer * shrunk >= SMALLEST, words
        assert left >= 0, words
        assert top >= 0, words
        assert right <= limit_x, words
        assert bottom <= limit_y, words
    assert isinstance(ImageFont.load_default(SMALLEST), ImageFont.FreeTypeFont)
