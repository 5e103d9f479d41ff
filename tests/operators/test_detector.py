"""From a detector's array to a measurement: axes, dead pixels, a beam beside the middle, units, colours, sizes."""

import math

import numpy as np
import pytest
import torch
from operator_problems import generator, picture
from sampler_lab.operators import GaussianNoise, PhaseRetrieval, ReadOptions
from sampler_lab.operators.files.layout import to_recording


def read(array, operator=None, mask=None, **options):
    options = ReadOptions(**options)
    return (operator or PhaseRetrieval()).from_recording(*to_recording(np.asarray(array), mask, options), options)


@pytest.fixture
def y():
    """A simulated pattern ``[3, 24, 24]`` of a 16×16 image, clipped noise and all."""
    return PhaseRetrieval().measure(picture(), 3).y[0].numpy()


# -- axes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["auto", "HxW"])
def test_grey_data_are_the_mean_of_the_images_channels(y, layout):
    measurement = read(y[0], layout=layout)
    assert measurement.operator.channels == "mean"
    assert measurement.y.shape == (1, 1, 24, 24)
    assert measurement.image_shape == (16, 16)
    assert [s.scope for s in measurement.operator.symmetries] == ["global", "global"]
    image = torch.zeros(2, 3, 16, 16, requires_grad=True)  # an RGB model's images, all the same
    measurement.residual(image).sum().backward()
    assert image.grad.abs().sum() > 0


@pytest.mark.parametrize("shape", [(1, 3, 24, 24), (1, 24, 24, 3), (1, 1, 3, 24, 24)])
def test_leading_axes_of_length_one_are_dropped(y, shape):
    array = y if shape[-1] == 24 else np.moveaxis(y, 0, -1)
    torch.testing.assert_close(read(array.reshape(shape)).y[0], torch.from_numpy(y))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint32, np.float16, np.float64, ">f4", bool])
def test_every_numeric_type(y, dtype):
    array = (y * 50).astype(dtype)
    measurement = read(array, scale=0)
    assert measurement.y.dtype == torch.float32
    np.testing.assert_allclose(measurement.y[0] / measurement.y.max(), array.astype(float) / array.max(), rtol=1e-3)


# -- dead pixels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", [math.nan, math.inf, -math.inf])
def test_nan_as_dead(y, mark):
    y[:, 3, 4] = mark
    with pytest.raises(ValueError, match=r"3 NaN or infinite values; switch on nan_is_dead, or mask those pixels"):
        read(y)
    measurement = read(y, nan_is_dead=True)
    assert measurement.count == y.size - 3
    assert measurement.mask[0, :, 3, 4].eq(0).all()


def test_negative_marks(y):
    y[:, 3, 4] = -1
    with pytest.raises(
        ValueError, match=r"3 pixels hold exactly -1, which looks like a detector's mark.*negative_is_dead"
    ):
        read(y)
    assert read(y, negative_is_dead=True).count == y.size - 3
    y[:, 5, 6] = -2
    with pytest.raises(ValueError, match=r"hold exactly -2 or -1"):
        read(y)


def test_negative_noise_is_clipped_or_kept_as_the_operator_says():
    free = PhaseRetrieval(noise=GaussianNoise(clip_negative=False))
    y = free.measure(picture(), 3).y[0]
    assert (y < 0).any()
    assert torch.equal(read(y.numpy(), free).y[0], y)
    assert torch.equal(read(y.numpy()).y[0], y.clamp_min(0))


def test_negative_values_that_are_no_noise(y):
    with pytest.raises(ValueError, match=r"amplitudes go down to -.*, which noise of sigma 0.05 cannot explain"):
        read(y - 0.5)
    with pytest.raises(ValueError, match=r"some intensities are negative.*; switch on clip_negative of the operator"):
        read(y - 0.5, PhaseRetrieval(noise=GaussianNoise(clip_negative=False)), values="intensity")


def test_mask_of_every_shape(y):
    flat = np.ones((24, 24), dtype=bool)
    flat[5, 7] = False
    for mask in (flat, flat[None], np.repeat(flat[None], 3, 0), flat.astype(np.float32), flat.astype(np.uint8) * 255):
        measurement = read(y, mask=mask)
        assert measurement.count == y.size - 3
        assert measurement.mask[0, :, 5, 7].eq(0).all()
    coloured = np.repeat(flat[..., None], 3, -1)
    assert read(np.moveaxis(y, 0, -1), mask=coloured).count == y.size - 3
    assert read(y, mask=~flat, mask_meaning="1 is dead").count == y.size - 3


def test_mask_moves_with_the_pattern(y):
    """Stored with zero frequency in the corner, pattern and mask are brought to the middle together."""
    dead = np.zeros((24, 24), dtype=bool)
    dead[0, 0] = True
    corner = np.fft.ifftshift(y, axes=(-2, -1))
    measurement = read(corner, mask=dead, mask_meaning="1 is dead", zero_frequency="corner")
    assert measurement.mask[0, :, 12, 12].eq(0).all()
    assert measurement.count == y.size - 3


def test_all_valid_needs_no_mask(y):
    assert read(y, mask=np.ones((24, 24))).mask is None


def test_all_dead(y):
    with pytest.raises(ValueError, match=r"every pixel is masked as dead; check mask_meaning and the mask"):
        read(y, mask=np.ones((24, 24)), mask_meaning="1 is dead")


@pytest.mark.parametrize(
    ("mask", "sentence"), [(np.ones((7, 7)), r"shape \[7, 7\]"), (np.ones((24, 24)) * 1j, "type complex")]
)
def test_mask_that_does_not_fit(y, mask, sentence):
    with pytest.raises(ValueError, match=f"the mask .*{sentence}"):
        read(y, mask=mask)


# -- the middle ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(24, 24), (25, 30), (30, 25)])
@pytest.mark.parametrize("where", ["auto", "corner"])
def test_corner_is_brought_to_the_middle(size, where):
    operator = PhaseRetrieval(detector=size)
    y = operator.measure(picture(), 0).y[0]
    corner = torch.fft.ifftshift(y, dim=(-2, -1)).numpy()
    measurement = read(corner, image_shape=(16, 16), zero_frequency=where)
    torch.testing.assert_close(measurement.y[0], y)


@pytest.mark.parametrize("shift", [(3, 0), (-2, 4), (0, -5)])
def test_a_beam_beside_the_middle(shift):
    operator = PhaseRetrieval(noise=GaussianNoise(0.0))
    centred = operator(picture())[0]
    moved = centred.roll(shift, (-2, -1)).numpy()
    measurement = read(moved, operator, beam=(12 + shift[0], 12 + shift[1]))
    valid = measurement.mask[0] > 0
    torch.testing.assert_close(measurement.y[0][valid], centred[valid], rtol=0, atol=1e-6)
    # What the roll of this test put beyond the edge is exactly what must be masked.
    assert measurement.count == 3 * (24 - abs(shift[0])) * (24 - abs(shift[1]))
    assert measurement.residual(picture()) < 1e-6
    if shift[0] and shift[1]:
        assert read(moved, operator).residual(picture()) > 1.0


def test_beam_outside(y):
    with pytest.raises(ValueError, match=r"beam_column is 24, but the pattern has 24"):
        read(y, beam=(None, 24))


# -- units -----------------------------------------------------------------------------------------------------------


def test_scale_multiplies_amplitudes(y):
    torch.testing.assert_close(read(y * 1000, scale=0.001).y[0], torch.from_numpy(y), rtol=1e-5, atol=1e-7)
    counts = (y * 100).astype(np.float64) ** 2
    torch.testing.assert_close(
        read(counts, values="intensity", scale=0.01).y[0], torch.from_numpy(y), rtol=1e-5, atol=1e-6
    )


def test_automatic_scale_gives_an_object_of_medium_brightness(y):
    for factor in (1e-6, 1.0, 1e6):
        energy = read(y * factor, scale=0).y.square().sum().item()
        assert energy == pytest.approx(0.25 * 3 * 16 * 16, rel=1e-4)  # Parseval: rms 0.5 over the image's values


def test_detector_units_are_noticed(y):
    with pytest.raises(ValueError, match=r"times the signal of the brightest possible image; set scale to 0"):
        read(y * 1000)
    read(PhaseRetrieval()(torch.ones(1, 3, 16, 16))[0].numpy())  # the brightest possible image itself


def test_noise_from_the_data():
    image = torch.rand(1, 3, 64, 64, generator=generator()) * 2 - 1
    y = PhaseRetrieval(noise=GaussianNoise(0.02)).measure(image, 0).y[0].numpy()
    measurement = read(y, PhaseRetrieval(noise=GaussianNoise(0.5)), estimate_noise=True)
    assert measurement.operator.noise.noise_sigma == pytest.approx(0.02, rel=0.05)
    floor = PhaseRetrieval(noise=GaussianNoise(0.02)).noise_floor(image)
    assert measurement.noise_floor == pytest.approx(floor, rel=0.1)


def test_quantity_follows_the_operator(y):
    intensity = PhaseRetrieval(quantity="intensity")
    torch.testing.assert_close(read(y, intensity).y[0], torch.from_numpy(y).square())
    torch.testing.assert_close(
        read(y**2, intensity, values="intensity").y[0], torch.from_numpy(y**2), rtol=1e-5, atol=1e-6
    )


# -- sizes -----------------------------------------------------------------------------------------------------------


def test_size_from_oversampling_or_from_the_user(y):
    by_oversampling = read(y)
    assert (by_oversampling.image_shape, by_oversampling.operator.detector) == ((16, 16), None)
    by_user = read(y, image_shape=(12, 14))
    assert (by_user.image_shape, by_user.operator.detector) == ((12, 14), (24, 24))
    assert by_user.operator(torch.zeros(1, 3, 12, 14)).shape == (1, 3, 24, 24)
    same = read(y, image_shape=(16, 16))
    assert same.operator == by_oversampling.operator


def test_sizes_that_cannot_be(y):
    with pytest.raises(ValueError, match=r"the image is 32×32, larger than the detector's 24×24; use a smaller image"):
        read(y, image_shape=(32, 32))
    with pytest.raises(ValueError, match=r"no image has a pattern of 22 pixels at oversample 2; give the image's size"):
        read(y[:, 1:-1, 1:-1])


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "options", "sentence"),
    [
        (np.ones((24, 24)) * 1j, {}, "the array is complex; a detector records real amplitudes"),
        (np.array([["a", "b"]]), {}, "the array is of type <U1"),
        (
            np.ones((5, 24, 24)),
            {},
            r"shape \[5, 24, 24\], which could be read in more than one way or in none; set layout",
        ),
        (np.ones((3, 24, 3)), {}, "set layout"),
        (np.ones((5, 24, 24)), {"layout": "CxHxW"}, "the array has 5 channels; a measurement has 1 .* or 3"),
        (np.ones((24, 24, 3)), {"layout": "HxW"}, r"shape \[24, 24, 3\], which is not HxW"),
        (np.ones(24), {}, r"shape \[24\], which is not"),
        (np.ones((0, 24)), {}, "needs at least 2 rows and 2 columns"),
        (np.ones((1, 24)), {"layout": "HxW"}, "needs at least 2 rows and 2 columns"),
        (np.zeros((24, 24)), {}, "every valid value is 0"),
    ],
)
def test_refuses_arrays(values, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        read(values, **options)


def test_refuses_colour_data_for_a_grey_operator(y):
    with pytest.raises(ValueError, match=r"the data have three channels; set channels of the operator to separate"):
        read(y, PhaseRetrieval(channels="mean"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"values": "phase"}, "values is 'phase'; choose one of amplitude, intensity"),
        ({"layout": "WxH"}, "layout is 'WxH'"),
        ({"zero_frequency": "left"}, "zero_frequency is 'left'"),
        ({"mask_meaning": "yes"}, "mask_meaning is 'yes'"),
        ({"scale": -1.0}, "scale is -1.0; it must be a number between 0"),
        ({"scale": math.nan}, "scale is (NaN|nan)"),
    ],
)
def test_refuses_options(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        ReadOptions(**options)
