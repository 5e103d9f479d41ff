"""Every declared symmetry leaves y unchanged, and they are all different pictures; shifts while the object stays in."""

import pickle

import pytest
import torch
from operator_problems import disc, picture
from sampler_lab.operators import GaussianNoise, PhaseRetrieval, shift_image
from sampler_lab.operators.symmetry import phaseless_symmetries

OPERATORS = [
    PhaseRetrieval(),
    PhaseRetrieval(oversample=1.0, quantity="intensity"),
    PhaseRetrieval(signal_range="-1..1", noise=GaussianNoise(clip_negative=False)),
    PhaseRetrieval(channels="mean"),
    PhaseRetrieval(signal_range="-1..1", channels="mean"),
    PhaseRetrieval(detector=(27, 30)),
]


@pytest.mark.parametrize("operator", OPERATORS, ids=str)
@pytest.mark.parametrize("size", [(16, 16), (15, 12)])
def test_declared_symmetries_leave_the_measurement_unchanged(operator, size):
    image = picture(2, *size, dtype=torch.float64)
    y = operator(image)
    for symmetry in operator.symmetries:
        torch.testing.assert_close(operator(symmetry(image)), y, rtol=0, atol=1e-12, msg=symmetry.name)


@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_symmetries_make_different_images_in_range(operator):
    image = picture()
    seen = []
    for symmetry in operator.symmetries:
        moved = symmetry(image)
        assert moved.shape == image.shape
        assert moved.abs().max() <= 1
        assert all((moved - other).abs().max() > 0.1 for other in seen), symmetry.name
        torch.testing.assert_close(symmetry(moved), image, rtol=0, atol=0)  # each is its own inverse
        seen.append(moved)


def test_names_and_scopes():
    plain = PhaseRetrieval().symmetries
    assert [s.name for s in plain[:2]] == ["identity", "rot180"]
    assert [s.scope for s in plain] == ["global"] * 2 + ["per_channel"] * 6
    assert torch.equal(plain[1](picture()), picture().flip((2, 3)))
    signed = PhaseRetrieval(signal_range="-1..1").symmetries
    assert [s.name for s in signed if s.scope == "global"] == ["identity", "rot180", "negative", "rot180 negative"]
    assert len(signed) == 4**3
    assert len({s.name for s in signed}) == len(signed)


def test_a_named_channel_is_the_one_that_moves():
    image = picture()
    by_name = {s.name: s for s in phaseless_symmetries(3, signed=True)}
    assert torch.equal(by_name["rot180 G"](image)[:, 1], image[:, 1].flip((1, 2)))
    assert torch.equal(by_name["rot180 G"](image)[:, [0, 2]], image[:, [0, 2]])
    mixed = by_name["rot180 R, negative B"](image)
    assert torch.equal(mixed[:, 0], image[:, 0].flip((1, 2)))
    assert torch.equal(mixed[:, 2], -image[:, 2])


def test_the_negative_is_no_symmetry_in_0_to_1():
    """The negative of an image in [0, 1] is another image with another pattern: it must not be declared."""
    operator = PhaseRetrieval()
    assert (operator(-picture()) - operator(picture())).abs().max() > 0.1
    assert all("negative" not in s.name for s in operator.symmetries)


@pytest.mark.parametrize("signal_range", ["0..1", "-1..1"])
@pytest.mark.parametrize("shift", [(3, -2), (-4, 0), (0, 4)])
def test_shifts_that_keep_the_object_inside(signal_range, shift):
    operator = PhaseRetrieval(signal_range=signal_range)
    image = disc(background=operator.background)
    moved = shift_image(image, *shift, background=operator.background)
    assert operator.shift_symmetric
    assert not torch.equal(moved, image)
    torch.testing.assert_close(operator(moved), operator(image), rtol=0, atol=1e-5)


def test_a_shift_that_cuts_the_object_is_seen():
    operator, image = PhaseRetrieval(), disc()
    cut = shift_image(image, 9, 0, background=-1.0)
    assert (operator(cut) - operator(image)).abs().max() > 0.1


def test_shift_image_beyond_the_frame_leaves_background():
    assert shift_image(torch.ones(1, 3, 4, 4), 9, -9, background=-1.0).eq(-1).all()


def test_noise_does_not_break_a_symmetry():
    """y is one fixed recording, so truth and twin have the same residual to it, clipped or not."""
    for clip in (True, False):
        measurement = PhaseRetrieval(noise=GaussianNoise(clip_negative=clip)).measure(picture(), 0)
        truth, twin = measurement.residual(picture()), measurement.residual(picture().flip((2, 3)))
        torch.testing.assert_close(truth, twin, rtol=1e-5, atol=0)


def test_refuses_the_wrong_number_of_channels():
    with pytest.raises(ValueError, match=r"moves 3 channels one by one, but the image has 1"):
        phaseless_symmetries(3)[-1](torch.zeros(1, 1, 4, 4))


def test_can_be_pickled():
    symmetry = pickle.loads(pickle.dumps(phaseless_symmetries(3)[3]))
    assert torch.equal(symmetry(picture()), phaseless_symmetries(3)[3](picture()))
