"""Alignment finds the best of exactly those transforms that leave the measurement unchanged, and no other."""

import math
from dataclasses import dataclass

import pytest
import torch
from sampler_lab.metrics import align
from sampler_lab.metrics.shifts import shift_range
from sampler_lab.operators import PhaseRetrieval, rot180, shift_image

OPERATOR = PhaseRetrieval()


def glyph(rows=(3, 9), columns=(5, 12), size=(16, 18), seed=0, background=-1.0):
    """A random object inside an empty frame, ``[1, 3, H, W]``, float64."""
    image = torch.full((1, 3, *size), background, dtype=torch.float64)
    inside = (..., slice(*rows), slice(*columns))
    g = torch.Generator().manual_seed(seed)
    image[inside] = torch.rand(image[inside].shape, generator=g, dtype=torch.float64) * 1.8 - 0.8
    return image


def error(images, reference):
    return (images - reference).square().flatten(1).sum(1)


# -- it finds what was done ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dy", "dx"), [(0, 0), (-3, -5), (7, 6), (2, -4), (-1, 3)])
def test_undoes_a_shift_inside_the_frame(dy, dx):
    truth = glyph()
    alignment = align(shift_image(truth, dy, dx, -1.0), truth, OPERATOR)
    assert torch.equal(alignment.images, truth)
    assert alignment.symmetries == ("identity",)
    assert alignment.shifts[0].tolist() == [[-dy, -dx]] * 3


def test_undoes_a_rotation_and_a_shift_of_the_twin():
    truth = glyph()
    twin = shift_image(rot180(truth), -2, 3, -1.0)
    alignment = align(twin, truth, OPERATOR)
    assert torch.equal(alignment.images, truth)
    assert alignment.labels == ("rot180, shift (-2, 3)",)  # turning the twin back turns its shift round as well


def test_the_truth_itself_is_left_alone():
    truth = glyph()
    alignment = align(truth, truth, OPERATOR)
    assert torch.equal(alignment.images, truth)
    assert alignment.labels == ("identity",)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_one_turned_channel_needs_the_per_channel_group(channel):
    truth = glyph(size=(16, 18), rows=(0, 16), columns=(0, 18))
    mixed = truth.clone()
    mixed[:, channel] = rot180(mixed[:, channel])
    assert error(align(mixed, truth, OPERATOR).images, truth) > 1
    alignment = align(mixed, truth, OPERATOR, group="per_channel")
    assert torch.equal(alignment.images, truth)
    assert alignment.labels == (f"rot180 {'RGB'[channel]}",)


def test_channels_that_moved_apart_need_the_per_channel_group():
    truth = glyph()
    moved = torch.cat([shift_image(truth[:, c : c + 1], dy, c, -1.0) for c, dy in enumerate((2, 0, -3))], dim=1)
    assert error(align(moved, truth, OPERATOR).images, truth) > 1
    alignment = align(moved, truth, OPERATOR, group="per_channel")
    assert torch.equal(alignment.images, truth)
    assert alignment.shifts[0].tolist() == [[-2, 0], [0, -1], [3, -2]]
    assert alignment.labels == ("shift R (-2, 0), shift G (0, -1), shift B (3, -2)",)


def test_the_negative_counts_only_where_the_signal_is_signed():
    signed = PhaseRetrieval(signal_range="-1..1")
    truth = glyph(background=0.0)
    negative = shift_image(-rot180(truth), 1, 1, 0.0)
    alignment = align(negative, truth, signed)
    torch.testing.assert_close(alignment.images, truth, rtol=0, atol=0)
    assert alignment.symmetries == ("rot180 negative",)
    assert error(align(negative, truth, OPERATOR).images, truth) > 1


def test_channels_measured_together_have_no_per_channel_group():
    grey = PhaseRetrieval(channels="mean")
    truth = glyph()
    mixed = truth.clone()
    mixed[:, 1] = rot180(mixed[:, 1])
    per_channel, globally = align(mixed, truth, grey, group="per_channel"), align(mixed, truth, grey)
    assert torch.equal(per_channel.images, globally.images)
    assert len({tuple(move) for move in per_channel.shifts[0].tolist()}) == 1


# -- it is the best, and it is honest --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_is_the_best_of_every_transform_tried_one_by_one(seed):
    """Unrelated images: the FFT's answer against a search by hand, on shapes where a wrong axis would show."""
    truth = glyph(rows=(2, 6), columns=(3, 9), size=(9, 13), seed=seed)
    image = glyph(rows=(1 + seed % 2, 7), columns=(4, 9), size=(9, 13), seed=100 + seed)
    up, down, left, right = shift_range(truth[0], -1.0)
    energy = error(image, torch.full_like(image, -1.0))
    candidates = []
    for symmetry in OPERATOR.symmetries[:2]:
        turned = symmetry(image)
        for dy in range(-up, down + 1):
            for dx in range(-left, right + 1):
                moved = shift_image(turned, dy, dx, -1.0)
                if error(moved, torch.full_like(image, -1.0)) >= 0.99 * energy:
                    candidates.append(error(moved, truth).item())
    assert len(candidates) > 20
    found = align(image, truth, OPERATOR)
    assert error(found.images, truth).item() == pytest.approx(min(candidates), rel=1e-12)


@pytest.mark.parametrize("group", ["global", "per_channel"])
def test_never_changes_what_was_measured(group):
    """The property that makes aligned scores honest, on images that are no solutions at all."""
    truth = glyph(seed=1)
    images = torch.cat([glyph(rows=(2 + k, 8 + k), columns=(1 + k, 9 + k), seed=10 + k) for k in range(5)])
    aligned = align(images, truth, OPERATOR, group)
    assert (error(aligned.images, truth) <= error(images, truth)).all()
    assert any(label != "identity" for label in aligned.labels)
    torch.testing.assert_close(OPERATOR(aligned.images), OPERATOR(images), rtol=1e-9, atol=1e-9)


def test_an_object_that_fills_its_frame_is_not_moved():
    full = glyph(rows=(0, 16), columns=(0, 18))
    moved = shift_image(full, 1, 0, -1.0)
    assert align(moved, full, OPERATOR).shifts.abs().max() == 0


def test_an_image_is_not_pushed_out_of_its_frame():
    """A grey picture would gain 4 dB by having most of itself pushed over the edge; no symmetry allows that."""
    truth = glyph()
    grey = torch.zeros_like(truth)
    assert align(grey, truth, OPERATOR).labels == ("identity",)


def test_noise_in_the_background_does_not_prevent_a_shift():
    truth = glyph(rows=(3, 12), columns=(4, 15), size=(20, 22))
    noise = 0.02 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    alignment = align(shift_image(truth, -2, 3, -1.0) + noise, truth, OPERATOR)
    assert alignment.shifts[0].tolist() == [[2, -3]] * 3


def test_an_operator_that_sees_everything_changes_nothing():
    @dataclass
    class Exact:
        symmetries = OPERATOR.symmetries[:1]
        shift_symmetric = False
        background = -1.0

    truth = glyph()
    twin = rot180(truth)
    alignment = align(twin, truth, Exact(), group="per_channel")
    assert torch.equal(alignment.images, twin)
    assert alignment.labels == ("identity",)


def test_an_empty_reference_moves_nothing():
    empty = torch.full((1, 3, 16, 18), -1.0)
    assert align(glyph().float(), empty, OPERATOR).labels == ("identity",)


# -- rows ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", ["global", "per_channel"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_rows_do_not_mix_and_a_bad_one_stays_alone(group, bad):
    truth = glyph()
    images = torch.cat([shift_image(truth, 1, 2, -1.0), truth.clone(), rot180(truth), glyph(seed=5)])
    images[1, 2, 4, 4] = bad
    before = images.clone()
    together = align(images, truth, OPERATOR, group)
    for k in range(4):
        alone = align(images[k : k + 1], truth, OPERATOR, group)
        torch.testing.assert_close(together.images[k], alone.images[0], rtol=0, atol=0, equal_nan=True)
        assert together.labels[k] == alone.labels[0]
    torch.testing.assert_close(together.images[1], before[1], rtol=0, atol=0, equal_nan=True)
    assert together.labels[1] == "identity"
    torch.testing.assert_close(images, before, rtol=0, atol=0, equal_nan=True)


def test_one_reference_per_image():
    truths = torch.cat([glyph(seed=1), glyph(seed=2, rows=(1, 5))])
    moved = torch.cat([shift_image(truths[:1], 2, 1, -1.0), rot180(truths[1:])])
    alignment = align(moved, truths, OPERATOR)
    assert torch.equal(alignment.images, truths)
    assert alignment.labels == ("shift (-2, -1)", "rot180")


def test_refuses_images_of_another_size():
    with pytest.raises(ValueError, match="resize or crop the reference to 18×16"):
        align(glyph(), glyph(size=(18, 16)), OPERATOR)
