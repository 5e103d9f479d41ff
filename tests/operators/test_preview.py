"""The preview's shades are the logarithm they claim to be."""

import math

import pytest
import torch
from operator_problems import Halving, picture
from sampler_lab.operators import GaussianNoise, Measurement, PhaseRetrieval
from sampler_lab.operators.preview import log_shade, preview


def test_shades_are_powers_of_ten():
    y = torch.tensor([[10.0, 1.0], [0.1, 0.0]]).expand(1, 3, 2, 2)
    expected = torch.tensor([[1.0, 0.75], [0.5, 0.0]])
    torch.testing.assert_close(log_shade(y, decades=4.0)[0, 0], expected)
    assert log_shade(y, decades=1.0)[0, 0].tolist() == [[1.0, 0.0], [0.0, 0.0]]
    measurement = Measurement(y, PhaseRetrieval(0.0))
    torch.testing.assert_close(preview(measurement, decades=4.0)[0, 0], expected)


def test_an_operator_that_says_nothing_is_shown_from_its_lowest_to_its_highest_value():
    y = torch.tensor([[-3.0, 1.0], [0.0, -1.0]]).expand(1, 3, 2, 2)
    assert preview(Measurement(y, Halving()))[0, 0].tolist() == [[0.0, 1.0], [0.75, 0.5]]
    assert preview(Measurement(y * 0 + 2, Halving())).abs().max() == 0


def test_intensities_are_shown_by_their_amplitudes():
    exact = GaussianNoise(0.0)
    amplitude, intensity = PhaseRetrieval(noise=exact), PhaseRetrieval(quantity="intensity", noise=exact)
    shown = [preview(operator.measure(picture(), 0)) for operator in (amplitude, intensity)]
    torch.testing.assert_close(shown[0], shown[1], rtol=0, atol=1e-4)


def test_dead_pixels_are_magenta_and_grey_data_are_grey():
    y = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(1, 1, 24, 24)
    mask[..., 2, 3] = 0
    shown = preview(Measurement(y, PhaseRetrieval(channels="mean"), mask))
    assert shown.shape == (1, 3, 24, 24)
    assert shown[0, :, 2, 3].tolist() == [1.0, 0.0, 1.0]
    shown[:, :, 2, 3] = 0
    assert torch.equal(shown[:, 0], shown[:, 2])


@pytest.mark.parametrize("clip", [True, False])
def test_noise_and_zeros_stay_in_range(clip):
    shown = preview(PhaseRetrieval(noise=GaussianNoise(clip_negative=clip)).measure(picture(), 0))
    assert shown.min() >= 0
    assert shown.max() == 1
    assert math.isfinite(shown.sum().item())
    black = PhaseRetrieval(noise=GaussianNoise(0.0)).measure(torch.full((1, 3, 8, 8), -1.0), 0)
    assert preview(black).abs().max() == 0
