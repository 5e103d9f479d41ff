"""A guider's record: what it keeps, its table, its picture."""

from __future__ import annotations

import math

import pytest
import torch
from sampler_lab.instruments.guidance_record import GuidanceRecord, attach, attached
from sampler_lab.instruments.plots.guidance import COLOURS, INK, plot_record


def _record():
    record = GuidanceRecord("Test", {"gap": "a gap", "size": "a size"})
    record.add(10.0, gap=[1.0, 2.0], size=[5.0])
    record.add(1.0, gap=[0.1, math.nan], size=[None])
    record.add(0.1, gap=[0.01, 0.02])
    return record


def _same(a, b):
    return all(x == y or (math.isnan(x) and math.isnan(y)) for x, y in zip(a, b, strict=True))


def test_series_have_one_value_per_call_and_item():
    gap, size = _record().series("gap"), _record().series("size")
    assert len(gap) == 2
    assert _same(gap[1], [2.0, math.nan, 0.02])
    assert len(size) == 1
    assert _same(size[0], [5.0, math.nan, math.nan])


def test_the_table_is_csv_with_a_column_per_item():
    assert _record().to_csv().splitlines() == [
        "call,sigma,gap_0,gap_1,size",
        "0,10,1,2,5",
        "1,1,0.1,,",
        "2,0.1,0.01,0.02,",
    ]


def test_a_new_run_forgets_the_one_before():
    record = _record()
    record.begin()
    assert record.series("gap") == []


def test_latents_carry_what_was_noted_of_their_run():
    record, first, second = _record(), torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 2, 2)
    attach(first, [record])
    record.begin()
    record.add(3.0, gap=[7.0])
    attach(second, [record])
    (of_first,), (of_second,) = attached(first), attached(second)
    assert of_first.to_csv() == _record().to_csv()
    assert of_second.series("gap") == [[7.0]]
    assert of_first.handle is of_second.handle is record
    assert attached(first.to("cpu")) == (of_first,)  # the same object, as between the host's nodes
    assert attached(first * 1) == ()


def test_what_has_no_meaning_is_refused():
    with pytest.raises(ValueError, match="'speed' is not a quantity of the record 'Test'"):
        _record().add(1.0, speed=[1.0])


def test_a_label_that_the_font_cannot_draw_is_refused():
    with pytest.raises(ValueError, match="cannot be drawn; write it in ASCII"):
        GuidanceRecord("Test", {"gap": "\u2016gap\u2016"})


def test_the_picture_has_a_panel_per_measured_quantity():
    def has(picture, colour):
        return bool((picture == torch.tensor(colour) / 255).all(-1).any())

    picture = plot_record(_record(), width=400, panel_height=150)
    assert picture.shape == (1, 34 + 2 * 150, 400, 3)
    assert picture.min() >= 0
    assert picture.max() <= 1
    assert has(picture, COLOURS[0])
    assert has(picture, COLOURS[1])
    one = GuidanceRecord("Test", {"gap": "a gap", "size": "a size"})
    one.add(1.0, gap=[3.0])
    assert plot_record(one, width=400, panel_height=150).shape == (1, 34 + 150, 400, 3)
    nothing = plot_record(GuidanceRecord("Test", {"gap": "a gap"}))
    assert has(nothing, INK)
    assert not has(nothing, COLOURS[0])


def test_larger_values_are_drawn_higher():
    record = GuidanceRecord("Test", {"gap": "a gap"})
    for sigma, value in ((3.0, 1.0), (2.0, 10.0), (1.0, 1000.0)):
        record.add(sigma, gap=[value])
    picture = plot_record(record, width=600, panel_height=200)[0]
    rows, columns = (picture == torch.tensor(COLOURS[0]) / 255).all(-1).nonzero(as_tuple=True)
    # The line ends at the cleanest call: right and high (small row number).
    assert rows[columns.argmin()] > rows[columns.argmax()]
