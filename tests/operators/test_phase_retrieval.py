"""The operator against closed forms: its definition, its presets, its gradient, its refusals."""

import math
from dataclasses import replace

import pytest
import torch
from operator_problems import fourier_sum, generator, picture
from sampler_lab.operators import PRESETS, GaussianNoise, PhaseRetrieval, PoissonNoise


@pytest.mark.parametrize("size", [(8, 8), (9, 12)])
@pytest.mark.parametrize("signal_range", ["0..1", "-1..1"])
def test_is_the_modulus_of_the_padded_images_transform(size, signal_range):
    image = picture(2, *size, dtype=torch.float64)
    u = (image + 1) / 2 if signal_range == "0..1" else image
    frame = [n + 2 * int(2 / 8 * n) for n in size]
    padded = torch.zeros(2, 3, *frame, dtype=torch.float64)
    top, left = (frame[0] - size[0]) // 2, (frame[1] - size[1]) // 2
    padded[:, :, top : top + size[0], left : left + size[1]] = u
    expected = fourier_sum(padded).abs()
    operator = PhaseRetrieval(2.0, signal_range=signal_range)
    torch.testing.assert_close(operator(image), expected, rtol=1e-12, atol=1e-12)
    intensity = replace(operator, quantity="intensity")
    torch.testing.assert_close(intensity(image), expected.square(), rtol=1e-12, atol=1e-12)


def test_a_white_image_is_a_product_of_dirichlet_kernels():
    n, padded = 8, 12
    k = torch.arange(padded, dtype=torch.float64) - padded // 2
    kernel = torch.where(k == 0, n, (torch.sin(math.pi * k * n / padded) / torch.sin(math.pi * k / padded)).abs())
    expected = kernel[:, None] * kernel[None, :] / padded
    y = PhaseRetrieval(2.0)(torch.ones(1, 3, n, n, dtype=torch.float64))
    torch.testing.assert_close(y, expected.expand(1, 3, -1, -1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("oversample", "n", "padded"), [(2.0, 256, 384), (2.0, 64, 96), (1.0, 30, 36), (0.0, 7, 7)])
def test_shapes_go_both_ways(oversample, n, padded):
    operator = PhaseRetrieval(oversample)
    assert operator.measurement_shape((n, n)) == (3, padded, padded)
    assert operator.image_shape((padded, padded)) == (n, n)


def test_presets_are_the_published_settings():
    daps, dps = PRESETS["daps"], PRESETS["dps"]
    assert (daps.oversample, daps.noise.noise_sigma, daps.signal_range) == (2.0, 0.05, "0..1")
    assert (dps.oversample, dps.noise.noise_sigma, dps.signal_range) == (2.0, 0.05, "-1..1")
    for preset in (daps, dps):
        assert preset.quantity == "amplitude"
        assert not preset.noise.clip_negative
        assert preset.measurement_shape((256, 256)) == (3, 384, 384)
    # The same object is twice as strong in [-1, 1], up to its mean: so every frequency but the lowest doubles.
    wave = torch.cos(torch.arange(12, dtype=torch.float64) * math.pi / 3).expand(1, 3, 12, -1)
    single, double = PhaseRetrieval(0.0)(wave), PhaseRetrieval(0.0, signal_range="-1..1")(wave)
    single[..., 6, 6] = 0
    torch.testing.assert_close(double, 2 * single, rtol=0, atol=1e-12)


def test_mean_channels_measure_the_grey_image():
    image = picture()
    grey = image.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    operator = PhaseRetrieval(channels="mean")
    assert operator.measurement_shape((16, 16)) == (1, 24, 24)
    torch.testing.assert_close(operator(image), PhaseRetrieval()(grey)[:, :1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("channels", ["separate", "mean"])
@pytest.mark.parametrize("signal_range", ["0..1", "-1..1"])
def test_object_and_image_are_inverse(signal_range, channels):
    operator = PhaseRetrieval(signal_range=signal_range, channels=channels)
    u = operator.object(picture())
    torch.testing.assert_close(operator.object(operator.image(u)), u, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_works_in_float32_whatever_comes_in(dtype):
    image = picture().to(dtype)
    y = PhaseRetrieval()(image)
    assert y.dtype == torch.float32
    assert torch.equal(y, PhaseRetrieval()(image.float()))


# -- gradient --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quantity", ["amplitude", "intensity"])
@pytest.mark.parametrize("channels", ["separate", "mean"])
def test_gradient_is_that_of_finite_differences(quantity, channels):
    image = picture(1, 4, 5, dtype=torch.float64).requires_grad_(True)
    assert torch.autograd.gradcheck(PhaseRetrieval(quantity=quantity, channels=channels), image, atol=1e-6)


@pytest.mark.parametrize("quantity", ["amplitude", "intensity"])
def test_gradient_at_zero_amplitude_is_zero(quantity):
    black = torch.full((1, 3, 8, 8), -1.0, requires_grad=True)
    PhaseRetrieval(quantity=quantity)(black).sum().backward()
    assert torch.equal(black.grad, torch.zeros_like(black))


def test_images_of_a_batch_do_not_mix():
    images = picture(3)
    torch.testing.assert_close(PhaseRetrieval()(images)[1:2], PhaseRetrieval()(images[1:2]), rtol=0, atol=1e-6)


# -- simulated measurements ------------------------------------------------------------------------------------------


def test_a_measurement_depends_on_its_seed_only():
    image, operator = picture(), PhaseRetrieval()
    state = torch.get_rng_state()
    first, again, other = (operator.measure(image, seed) for seed in (7, 7, 2**64 - 1))
    assert torch.equal(first.y, again.y)
    assert not torch.equal(first.y, other.y)
    assert torch.equal(torch.get_rng_state(), state)
    # The noise is the same one for any image and precision.
    double = operator.measure(image.double(), 7)
    torch.testing.assert_close(double.y.float(), first.y, rtol=0, atol=1e-5)


def test_no_noise_gives_the_noiseless_values():
    measurement = PhaseRetrieval(noise=GaussianNoise(0.0)).measure(picture(), 0)
    assert torch.equal(measurement.y, PhaseRetrieval()(picture()))
    assert measurement.noise_floor == 0


def test_clipping_is_the_unclipped_measurement_clipped():
    clipped = PhaseRetrieval(noise=GaussianNoise(clip_negative=True)).measure(picture(), 3).y
    free = PhaseRetrieval(noise=GaussianNoise(clip_negative=False)).measure(picture(), 3).y
    assert (free < 0).any()
    assert torch.equal(clipped, free.clamp_min(0))


def test_background_has_no_signal():
    for signal_range in ("0..1", "-1..1"):
        operator = PhaseRetrieval(signal_range=signal_range)
        assert operator(torch.full((1, 3, 8, 8), operator.background)).abs().max() == 0


def test_settings_survive_a_dictionary():
    operator = PhaseRetrieval(1.5, "-1..1", "intensity", "mean", (20, 30), noise=PoissonNoise(0.1))
    settings = operator.to_dict()
    assert settings["operator"] == "phase_retrieval"
    assert PhaseRetrieval.from_dict(settings) == operator
    assert PhaseRetrieval.from_dict({**settings, "detector": [20, 30], "from_the_future": 1}) == operator


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"oversample": -1.0}, "oversample is -1.0; it must be a number between 0 and 1000"),
        ({"oversample": math.nan}, "oversample is (NaN|nan)"),
        ({"noise_sigma": -0.1}, "noise_sigma is -0.1; it must be a number between 0"),
        ({"noise_sigma": math.inf}, "noise_sigma is inf"),
        ({"noise_sigma": 0.0, "noise": "poisson"}, "use gaussian noise for no noise"),
        ({"signal_range": "0..255"}, "signal_range is '0..255'; choose one of 0..1, -1..1"),
        ({"kind": "phase"}, "kind is 'phase'; choose one of amplitude, intensity"),
        ({"noise": "salt"}, "noise is 'salt'"),
        ({"channels": "cmyk"}, "channels is 'cmyk'"),
        ({"detector": (0, 4)}, r"detector is \(0, 4\)"),
    ],
)
def test_refuses_settings(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        PhaseRetrieval.from_dict(settings)


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (torch.zeros(3, 8, 8), r"image has shape \[3, 8, 8\]; it must be \[N, 3, H, W\]"),
        (torch.zeros(1, 8, 8, 3), r"image has 8 channels of 8×3; it must be \[N, 3, H, W\]"),
        (torch.zeros(0, 3, 8, 8), "image is empty"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.complex64), "image is complex"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), r"image has dtype torch.uint8; convert it to float"),
        ([[0.0]], "image is a list"),
    ],
)
def test_refuses_images(image, sentence):
    with pytest.raises(ValueError, match=sentence):
        PhaseRetrieval()(image)


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (torch.zeros(2, 3, 8, 8), "image holds 2 images; a measurement is of one"),
        (torch.full((1, 3, 8, 8), math.nan), "image holds NaN or infinity"),
        (torch.zeros(0, 3, 8, 8), "image is empty"),
    ],
)
def test_refuses_to_measure(image, sentence):
    with pytest.raises(ValueError, match=sentence):
        PhaseRetrieval().measure(image, 0)


def test_refuses_an_image_larger_than_the_detector():
    with pytest.raises(ValueError, match=r"larger than the detector's 6×6; use a smaller image"):
        PhaseRetrieval(detector=(6, 6))(picture())


def test_says_when_no_image_fits_a_pattern():
    with pytest.raises(
        ValueError, match=r"no image has a pattern of 100 pixels at oversample 2; give the image's size"
    ):
        PhaseRetrieval().image_shape((96, 100))


def test_a_detector_of_ones_own_may_have_any_size():
    image = picture()
    y = PhaseRetrieval().for_detector((25, 30))(image)
    assert y.shape == (1, 3, 25, 30)
    assert y.square().sum().item() == pytest.approx(((image + 1) / 2).square().sum().item(), rel=1e-5)  # Parseval


@pytest.mark.parametrize("arguments", [{}, {"truth": picture(), "y": torch.ones(1, 3, 24, 24)}])
def test_noise_floor_needs_exactly_one_source(arguments):
    with pytest.raises(ValueError, match=r"either the truth or y"):
        PhaseRetrieval().noise_floor(**arguments)


def test_measuring_is_the_same_on_every_call_order():
    """No hidden state: measuring something else in between changes nothing."""
    operator = PhaseRetrieval()
    first = operator.measure(picture(seed=1), 5).y
    operator.measure(picture(seed=2), 6)
    torch.rand(3, generator=generator())
    assert torch.equal(operator.measure(picture(seed=1), 5).y, first)
