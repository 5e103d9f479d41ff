"""Measurements, floors, previews and files are what they were in 0.2.0, to the bit; files of 0.1.0 are read."""

import json

import measurement_cases
import numpy as np
import pytest

with np.load(measurement_cases.FILE) as archive:
    STORED = dict(archive)
SAME_MACHINE = str(STORED.pop("machine")) == measurement_cases.machine()


@pytest.fixture(scope="module")
def now():
    return measurement_cases.results()


def test_every_case_is_stored(now):
    assert set(now) - {"machine"} == set(STORED)


@pytest.mark.parametrize("name", [name for name in STORED if not name.endswith("/settings")])
def test_it_is_what_it_was(name, now):
    expected, found = STORED[name], now[name]
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    if SAME_MACHINE or expected.dtype.kind not in "fc":
        assert np.array_equal(found, expected)
    else:  # another FFT rounds in another way, and what is clipped or counted may then fall to the other side
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("name", [name for name in STORED if name.endswith("/settings")])
def test_settings_are_written_as_they_were(name, now):
    """But for clip_negative beside Poisson noise, where it never did anything: counts are not negative."""
    expected, found = json.loads(str(STORED[name])), json.loads(str(now[name]))
    if expected["noise"] == "poisson":
        del expected["clip_negative"]
    assert found.pop("noise_sigma") == pytest.approx(expected.pop("noise_sigma"), rel=1e-6)
    assert found == expected
