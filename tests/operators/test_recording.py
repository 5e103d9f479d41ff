"""Recordings of an operator that says nothing about them: read as they are, and what is about patterns is refused."""

import math

import numpy as np
import pytest
import torch
from operator_problems import picture
from sampler_lab.operators import GaussianNoise, Grey, PhaseRetrieval, ReadOptions
from sampler_lab.operators.files import load_measurement, save_measurement

GREY = Grey(noise=GaussianNoise(0.02, clip_negative=False))


@pytest.fixture
def recorded(tmp_path):
    """A camera's file: 8-bit values of a plain array, and which of them are dead."""
    y = GREY(picture(1, 12, 10))[0, 0].numpy()
    dead = np.zeros((12, 10), bool)
    dead[3, 4] = True
    np.savez(tmp_path / "camera.npz", data=np.round(127.5 * y), dead=dead)
    return tmp_path / "camera.npz", torch.from_numpy(y)


def test_a_cameras_file(recorded):
    path, y = recorded
    options = ReadOptions(array="data", scale=1 / 127.5, mask_array="dead", mask_meaning="1 is dead")
    measurement = load_measurement(path, GREY, options)
    assert (measurement.operator, measurement.image_shape, measurement.count) == (GREY, (12, 10), 119)
    valid = measurement.mask[0, 0] > 0
    assert not valid[3, 4]
    assert (measurement.y[0, 0] - y)[valid].abs().max() <= 0.5 / 127.5 + 1e-6
    assert (measurement.y < 0).any()  # nothing was clipped, centred or taken for the root of an intensity
    assert measurement.noise_floor == pytest.approx(119 * 0.02**2)
    assert measurement.residual(picture(1, 12, 10)).item() < 1


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"values": "intensity"}, "values"),
        ({"zero_frequency": "corner"}, "zero_frequency"),
        ({"beam": (3, None)}, "beam"),
        ({"scale": 0.0}, "scale"),
        ({"estimate_noise": True}, "estimate_noise"),
    ],
)
def test_what_is_about_patterns_is_refused(recorded, options, name):
    with pytest.raises(ValueError, match=rf"^{name} is .*, which is about diffraction patterns; leave it as it is for"):
        load_measurement(recorded[0], GREY, ReadOptions(array="data", **options))


def test_a_saved_one_can_be_read_in_other_units_and_by_another_operator(tmp_path):
    saved = GREY.measure(picture(1, 12, 10), 0)
    save_measurement(saved, tmp_path / "a.h5")
    half = load_measurement(tmp_path / "a.h5", options=ReadOptions(scale=0.5))
    assert torch.equal(half.y, saved.y * 0.5)
    assert half.operator == GREY
    louder = Grey(noise=GaussianNoise(0.2, clip_negative=False))
    again = load_measurement(tmp_path / "a.h5", louder)
    assert torch.equal(again.y, saved.y)
    assert again.noise_floor == pytest.approx(100 * saved.noise_floor)


def test_a_picture_is_no_pattern(tmp_path):
    saved = GREY.measure(picture(1, 24, 24), 0)
    save_measurement(saved, tmp_path / "a.npz")
    with pytest.raises(ValueError, match=r"amplitudes go down to -.*, which noise of sigma 0.05 cannot explain"):
        load_measurement(tmp_path / "a.npz", PhaseRetrieval(), ReadOptions(scale=0.5))


def test_an_operator_says_when_it_leaves_the_picture_open():
    assert GREY.caution((64, 64)) is None
    assert PhaseRetrieval().caution((64, 64)) is None
    sentence = PhaseRetrieval(oversample=1.0).caution((64, 64))
    assert sentence.startswith("oversample 1 records 1.56 values per pixel, and half of them repeat the other half")
    assert math.isclose(80**2 / 64**2, 1.5625)
    assert PhaseRetrieval(oversample=1.0).for_detector((96, 96)).caution((64, 64)) is None
