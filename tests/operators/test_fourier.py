"""The transform against its defining sum, and the pairs that must be adjoint or inverse."""

import pytest
import torch
from operator_problems import fourier_sum, generator
from sampler_lab.operators.fourier import centred_fft2, centred_ifft2, crop, padding, point_reflection, zero_pad

SIZES = [(4, 6), (5, 7), (8, 5)]


@pytest.mark.parametrize("size", SIZES)
def test_is_the_defining_sum(size):
    u = torch.randn(2, 3, *size, generator=generator(), dtype=torch.float64)
    torch.testing.assert_close(centred_fft2(u), fourier_sum(u), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_inverse_and_parseval(size):
    u = torch.randn(1, 3, *size, generator=generator(), dtype=torch.float64)
    spectrum = centred_fft2(u)
    torch.testing.assert_close(centred_ifft2(spectrum).real, u, rtol=0, atol=1e-14)
    assert spectrum.abs().square().sum().item() == pytest.approx(u.square().sum().item(), rel=1e-13)


@pytest.mark.parametrize(("inner", "outer"), [((4, 4), (6, 8)), ((3, 4), (6, 7)), ((5, 5), (5, 5))])
def test_crop_is_the_adjoint_and_the_left_inverse_of_padding(inner, outer):
    u = torch.randn(1, 2, *inner, generator=generator(1), dtype=torch.float64)
    v = torch.randn(1, 2, *outer, generator=generator(2), dtype=torch.float64)
    assert torch.equal(crop(zero_pad(u, outer), inner), u)
    assert (zero_pad(u, outer) * v).sum().item() == pytest.approx((u * crop(v, inner)).sum().item(), rel=1e-12)


def test_padding_surrounds_with_zeros():
    framed = zero_pad(torch.ones(2, 2), (5, 4))
    assert framed.tolist() == [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_cannot_pad_to_less():
    with pytest.raises(ValueError, match=r"at least as large as the image"):
        padding(8, 6)


@pytest.mark.parametrize("size", SIZES)
def test_point_reflection_is_friedels_law(size):
    spectrum = centred_fft2(torch.randn(1, 1, *size, generator=generator(), dtype=torch.float64))
    torch.testing.assert_close(point_reflection(spectrum), spectrum.conj(), rtol=0, atol=1e-13)
    assert torch.equal(point_reflection(point_reflection(spectrum)), spectrum)
