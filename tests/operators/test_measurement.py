"""Residuals, dead pixels, devices and precisions, tensors born under inference mode, and every refusal."""

import math

import pytest
import torch
from operator_problems import Halving, generator, picture
from sampler_lab.operators import IDENTITY, Measurement, PhaseRetrieval


def test_residual_is_the_sum_of_squares_per_image():
    y = torch.zeros(1, 3, 2, 2)
    images = torch.stack([torch.full((3, 2, 2), 2.0), torch.full((3, 2, 2), 4.0)])
    measurement = Measurement(y, Halving())
    assert measurement.residual(images).tolist() == [12.0, 48.0]
    assert measurement.count == 12
    assert measurement.noise_floor == pytest.approx(0.12)
    assert Halving().symmetries == (IDENTITY,)


def test_dead_pixels_leave_the_residual_alone_whatever_they_hold():
    y, mask = torch.zeros(1, 3, 2, 2), torch.ones(1, 1, 2, 2)
    y[..., 0, 0], mask[..., 0, 0] = math.nan, 0
    measurement = Measurement(y, Halving(), mask)
    image = torch.full((1, 3, 2, 2), 2.0, requires_grad=True)
    residual = measurement.residual(image)
    residual.sum().backward()
    assert residual.tolist() == [9.0]
    assert measurement.count == 9
    assert measurement.mask.shape == y.shape
    assert image.grad[..., 0, 0].abs().max() == 0
    assert image.grad[..., 1, 1].abs().min() > 0


def test_residual_of_the_truth_is_at_the_floor():
    measurement = PhaseRetrieval().measure(picture(1, 48, 48), 3)
    spread = math.sqrt(2 / measurement.count)
    assert measurement.residual(picture(1, 48, 48)).item() == pytest.approx(measurement.noise_floor, rel=6 * spread)
    assert measurement.residual(-picture(1, 48, 48)).item() > 10 * measurement.noise_floor


def test_gradients_pass_through_what_was_made_under_inference_mode():
    """ComfyUI runs every node so; a tensor made there cannot be saved for a backward pass."""
    with torch.inference_mode():
        made = PhaseRetrieval().measure(picture(), 0)
        masked = Measurement(made.y, made.operator, torch.ones(1, 3, 24, 24))
    for measurement in (made, masked):
        image = torch.zeros(2, 3, 16, 16, requires_grad=True)
        measurement.residual(image).sum().backward()
        assert image.grad.abs().sum() > 0


def test_a_move_keeps_everything_else():
    mask = torch.rand(1, 3, 24, 24, generator=generator()) > 0.5
    measurement = Measurement(PhaseRetrieval().measure(picture(), 0).y, PhaseRetrieval(), mask)
    double = measurement.to("cpu", torch.float64)
    assert double.y.dtype == double.mask.dtype == torch.float64
    assert (double.noise_floor, double.image_shape) == (measurement.noise_floor, measurement.image_shape)
    assert double.residual(picture().double()).dtype == torch.float64
    assert double.count == measurement.count


def test_integers_and_halves_become_float32():
    for dtype in (torch.int32, torch.uint8, torch.float16, torch.bfloat16):
        assert Measurement(torch.ones(1, 3, 4, 4, dtype=dtype), Halving()).y.dtype == torch.float32


def test_image_size_follows_from_the_operator():
    assert Measurement(torch.zeros(1, 3, 96, 48), PhaseRetrieval()).image_shape == (64, 32)


ONES = torch.ones(1, 3, 24, 24)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"y": [1.0]}, "the measurement is a list; it must be a torch tensor"),
        ({"y": ONES.to(torch.complex64)}, "the measurement is complex; pass its modulus"),
        ({"y": ONES > 0}, "the measurement is boolean"),
        ({"y": ONES[0]}, r"has shape \[3, 24, 24\]; it must be \[1, C, h, w\]"),
        ({"y": torch.cat([ONES, ONES])}, r"has shape \[2, 3, 24, 24\]; it must be \[1, C, h, w\]"),
        ({"y": ONES[..., :0]}, "and not empty"),
        ({"y": ONES * math.nan}, "1728 NaN or infinite values at valid pixels; mark them as dead"),
        ({"y": ONES / 0}, "NaN or infinite values"),
        ({"y": ONES[:, :1]}, r"has shape \[1, 24, 24\], but the operator makes \[3, 24, 24\] of an image of 16×16"),
        ({"y": ONES, "image_shape": (8, 8)}, r"but the operator makes \[3, 12, 12\] of an image of 8×8"),
        ({"y": ONES, "mask": torch.zeros(1, 1, 24, 24)}, "the mask marks every pixel as dead; 1 .* must mean valid"),
        ({"y": ONES, "mask": torch.ones(7, 7)}, r"the mask has shape \[7, 7\], which does not fit"),
        ({"y": ONES, "mask": ONES.to(torch.complex64)}, "the mask is complex"),
        ({"y": ONES, "mask": ONES * math.nan}, "the mask holds NaN"),
    ],
)
def test_refuses(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        Measurement(**{"operator": PhaseRetrieval(), **arguments})


@pytest.mark.parametrize("image", [torch.zeros(1, 3, 8, 8), torch.zeros(3, 16, 16)])
def test_refuses_an_image_of_another_size(image):
    measurement = PhaseRetrieval().measure(picture(), 0)
    with pytest.raises(
        ValueError, match=r"is of an image of 16×16; use a latent that decodes to width 16 and height 16"
    ):
        measurement.residual(image)
