"""Half a spectrum is the whole one: the transform, its adjoint, and pairs of recordings of one amplitude."""

import pytest
import torch
from operator_problems import generator, picture
from sampler_lab.operators import GaussianNoise, PhaseRetrieval
from sampler_lab.operators.fourier import point_reflection
from sampler_lab.operators.half_spectrum import HalfSpectrum

#: Image, detector: even and odd, not square, no padding, padding that is even and that is not.
SIZES = {
    "even": ((8, 8), (12, 12)),
    "odd": ((7, 7), (11, 11)),
    "odd in even": ((7, 9), (12, 16)),
    "even in odd": ((8, 6), (13, 15)),
    "not square": ((6, 10), (9, 20)),
    "no padding, even": ((8, 6), (8, 6)),
    "no padding, odd": ((5, 7), (5, 7)),
    "one axis only": ((6, 6), (6, 11)),
}
EVERY_SIZE = pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)


def half_of(size, mask=None, y=None):
    return HalfSpectrum(recordings(size) if y is None else y, mask, size[0])


def recordings(size):
    return torch.rand(1, 3, *size[1], generator=generator(), dtype=torch.float64)


def objects(size, n=2):
    return torch.randn(n, 3, *size[0], generator=generator(1), dtype=torch.float64)


def complex_like(spectrum):
    real, imaginary = (torch.randn(spectrum.shape, generator=generator(k), dtype=torch.float64) for k in (2, 3))
    return torch.complex(real, imaginary)


def zero_first(pattern):
    return torch.fft.ifftshift(pattern, dim=(-2, -1))


@EVERY_SIZE
def test_the_transform_is_half_of_the_operators_spectrum(size):
    u, operator = objects(size), PhaseRetrieval(detector=size[1])
    whole = zero_first(operator.spectrum(u))
    torch.testing.assert_close(half_of(size).transform(u), whole[..., : size[1][1] // 2 + 1], rtol=0, atol=1e-13)


@pytest.mark.parametrize("oversample", [0.0, 1.0, 2.0])
def test_it_is_made_of_a_measurement(oversample):
    measurement = PhaseRetrieval(oversample=oversample).measure(picture(1, 16, 10), 0)
    half = HalfSpectrum.of(measurement, measurement.y)
    assert half.frame == measurement.y.shape[-2:]
    assert half.image_shape == (16, 10)
    u = measurement.operator.object(picture(1, 16, 10, seed=3))
    whole = zero_first(measurement.operator.spectrum(u))
    torch.testing.assert_close(half.transform(u), whole[..., : half.frame[1] // 2 + 1], rtol=0, atol=2e-6)


@EVERY_SIZE
def test_the_adjoint_is_that_over_the_whole_spectrum(size):
    """Re <F(u), S>, every entry counted as often as it stands in the whole spectrum, for any S: also one that no real
    object has."""
    u, half = objects(size), half_of(size)
    spectrum = half.transform(u)
    other = complex_like(spectrum)
    left = (half.copies * (spectrum.conj() * other).real).sum((1, 2, 3))
    right = (u * half.adjoint(other)).sum((1, 2, 3))
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


@EVERY_SIZE
def test_the_adjoint_is_the_left_inverse(size):
    u, half = objects(size), half_of(size)
    torch.testing.assert_close(half.adjoint(half.transform(u)), u, rtol=0, atol=1e-13)


@EVERY_SIZE
def test_copies_make_up_the_whole_spectrum(size):
    """Parseval, and the sum of anything that is the same at k and -k."""
    u, half = objects(size), half_of(size)
    assert float(half.copies.sum()) == size[1][0] * size[1][1]
    energy = (half.copies * half.transform(u).abs().square()).sum((1, 2, 3))
    torch.testing.assert_close(energy, u.square().sum((1, 2, 3)), rtol=1e-12, atol=0)
    recorded = (half.copies * (half.first + half.second) / 2).sum()
    torch.testing.assert_close(recorded, recordings(size).sum(), rtol=1e-12, atol=0)


@EVERY_SIZE
def test_first_and_second_are_opposite_points_of_the_detector(size):
    y = torch.arange(3.0 * size[1][0] * size[1][1]).reshape(1, 3, *size[1])  # every pixel has a value of its own
    half, columns = half_of(size, y=y), size[1][1] // 2 + 1
    assert torch.equal(half.first, zero_first(y)[0, ..., :columns])
    assert torch.equal(half.second, zero_first(point_reflection(y))[0, ..., :columns])
    torch.testing.assert_close(half.mean, (half.first + half.second) / 2)
    assert half.mean.shape == (3, size[1][0], columns)


@EVERY_SIZE
def test_both_recordings_of_a_real_object_are_the_same(size):
    y = PhaseRetrieval(detector=size[1], noise=GaussianNoise(0.0))(picture(1, *size[0], dtype=torch.float64))
    half = half_of(size, y=y)
    torch.testing.assert_close(half.first, half.second, rtol=0, atol=1e-13)
    amplitude = half.transform(0.5 + 0.5 * picture(1, *size[0], dtype=torch.float64)).abs()[0]
    torch.testing.assert_close(half.mean, amplitude, rtol=0, atol=1e-13)


@EVERY_SIZE
@pytest.mark.parametrize("dead", ["first", "second", "both"])
def test_dead_pixels_of_a_pair(size, dead):
    """A frequency inside of the half that is not its own opposite: in rows 1 and h - 1, columns 1 and w - 1."""
    (rows, columns), y = size[1], 1 + recordings(size)
    mask = torch.ones(1, 1, rows, columns)
    places = {"first": [(1, 1)], "second": [(rows - 1, columns - 1)], "both": [(1, 1), (rows - 1, columns - 1)]}[dead]
    for place in places:
        mask[0, 0][place] = 0
    mask = torch.fft.fftshift(mask, dim=(-2, -1)).expand_as(y)
    half, alive = half_of(size, mask, y), half_of(size, None, y)
    assert half.recorded[0, 1, 1] == 2 - len(places)
    assert half.valid_first[0, 1, 1] == (dead == "second")
    assert half.valid_second[0, 1, 1] == (dead == "first")
    expected = {"first": alive.second, "second": alive.first, "both": torch.zeros_like(alive.mean)}[dead]
    torch.testing.assert_close(half.mean[:, 1, 1], expected[:, 1, 1])
    others = torch.ones_like(half.mean, dtype=torch.bool)
    others[:, 1, 1] = False
    assert torch.equal(half.mean[others], alive.mean[others])
    assert bool((half.recorded[others] == 2).all())


def test_a_dead_pixel_in_the_first_column_is_one_of_two_entries():
    """Both members of such a pair are in the half, in different rows."""
    y = 1 + torch.rand(1, 3, 8, 8, generator=generator(), dtype=torch.float64)
    mask = torch.ones(1, 3, 8, 8)
    mask[..., 4 + 2, 4] = 0  # k = (2, 0)
    half = HalfSpectrum(y, mask, (8, 8))
    assert half.recorded[0, 2, 0] == half.recorded[0, 6, 0] == 1
    assert (half.valid_first[0, 2, 0], half.valid_second[0, 2, 0]) == (0, 1)
    assert (half.valid_first[0, 6, 0], half.valid_second[0, 6, 0]) == (1, 0)
    torch.testing.assert_close(half.mean[:, 2, 0], half.mean[:, 6, 0])


def test_the_beam_stop_is_its_own_opposite():
    mask = torch.ones(1, 3, 9, 12)
    mask[..., 4, 6] = 0
    half = HalfSpectrum(torch.ones(1, 3, 9, 12), mask, (5, 5))
    assert bool((half.recorded[:, 0, 0] == 0).all())
    assert int((half.recorded != 2).sum()) == 3


def test_a_mean_that_noise_made_negative_is_no_amplitude():
    y = torch.full((1, 1, 6, 6), 0.5)
    y[0, 0, 3 + 1, 3 + 1], y[0, 0, 3 - 1, 3 - 1] = -0.7, 0.3
    half = HalfSpectrum(y, None, (6, 6))
    assert half.mean[0, 1, 1] == 0
    assert (half.first[0, 1, 1], half.second[0, 1, 1]) == pytest.approx((-0.7, 0.3))


def test_radius():
    square, flat = (
        HalfSpectrum(torch.ones(1, 1, 8, 8), None, (8, 8)),
        HalfSpectrum(torch.ones(1, 1, 4, 16), None, (4, 4)),
    )
    assert square.radius()[3, 4].item() == pytest.approx(5)
    assert square.radius()[-3, 4].item() == pytest.approx(5)
    assert square.radius()[0, 0] == 0
    # The highest frequency of each axis is half a cycle per sample: 4 samples of the square frame of the same area.
    assert flat.radius()[2, 0].item() == flat.radius()[0, 8].item() == pytest.approx(4)
