"""The measurement file that ships with the pack is what its README says it is."""

import torch
from sampler_lab.host.folders import EXAMPLES
from sampler_lab.operators import PRESETS
from sampler_lab.operators.files import load_measurement
from sampler_lab.priors.held_out import load_glyph


def test_the_example_is_the_measured_glyph():
    shipped = load_measurement(EXAMPLES / "red-heart.npz")
    again = PRESETS["daps"].measure(load_glyph("red-heart"), seed=1)
    assert shipped.operator == again.operator
    assert shipped.image_shape == (64, 64)
    torch.testing.assert_close(shipped.y, again.y, rtol=1e-4, atol=1e-4)  # another FFT library rounds differently
