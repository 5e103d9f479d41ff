"""The preview's shades are the logarithm they claim to be."""

import math

import pytest
import torch
from operator_problems import Halving, picture
from sampler_lab.operators import Measurement, PhaseRetrieval
from sampler_lab.operators.preview import log_amplitude


def test_shades_are_powers_of_ten():
    y = torch.tensor([[10.0, 1.0], [0.1, 0.0]]).expand(1, 3, 2, 2)
    picture = log_amplitude(Measurement(y, Halving()), decades=4.0)
    torch.testing.assert_close(picture[0, 0], torch.tensor([[1.0, 0.75], [0.5, 0.0]]))
    assert log_amplitude(Measurement(y, Halving()), decades=1.0)[0, 0].tolist() == [[1.0, 0.0], [0.0, 0.0]]


def test_intensities_are_shown_by_their_amplitudes():
    amplitude, intensity = PhaseRetrieval(noise_sigma=0.0), PhaseRetrieval(noise_sigma=0.0, kind="intensity")
    shown = [log_amplitude(operator.measure(picture(), 0)) for operator in (amplitude, intensity)]
    torch.testing.assert_close(shown[0], shown[1], rtol=0, atol=1e-4)


def test_dead_pixels_are_magenta_and_grey_data_are_grey():
    y = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(1, 1, 24, 24)
    mask[..., 2, 3] = 0
    shown = log_amplitude(Measurement(y, PhaseRetrieval(channels="mean"), mask))
    assert shown.shape == (1, 3, 24, 24)
    assert shown[0, :, 2, 3].tolist() == [1.0, 0.0, 1.0]
    shown[:, :, 2, 3] = 0
    assert torch.equal(shown[:, 0], shown[:, 2])


@pytest.mark.parametrize("clip", [True, False])
def test_noise_and_zeros_stay_in_range(clip):
    shown = log_amplitude(PhaseRetrieval(clip_negative=clip).measure(picture(), 0))
    assert shown.min() >= 0
    assert shown.max() == 1
    assert math.isfinite(shown.sum().item())
    black = PhaseRetrieval(noise_sigma=0.0).measure(torch.full((1, 3, 8, 8), -1.0), 0)
    assert log_amplitude(black).abs().max() == 0
