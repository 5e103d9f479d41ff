"""The precision of a decoder pass: bfloat16 is for single-precision weights only."""

from __future__ import annotations

import pytest
import torch
from linear_problem import Scale
from sampler_lab.operators import Measurement
from sampler_lab.posterior.autoencoder import Autoencoder
from sampler_lab.posterior.decoding import Decoding, decoder_autocast, weights_dtype
from sampler_lab.posterior.likelihood import Likelihood
from torch import autocast
from torch.nn import Conv2d

CPU = torch.device("cpu")


@pytest.fixture
def bfloat16_in_hardware(monkeypatch):
    """Whatever processor runs the test: the kernels are there on all, only slower."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)


class Decoder(torch.nn.Module):
    """A convolution between activations, which is where autocast meets weights."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.layer = Conv2d(1, 1, 3, padding=1, bias=True)
        with torch.no_grad():
            for weight in self.layer.parameters():
                weight.copy_(0.3 * torch.randn(weight.shape, generator=generator))
        self.layer.to(dtype)
        self.seen: set[torch.dtype] = set()

    def forward(self, z):
        out = self.layer(z.to(self.layer.weight.dtype))
        self.seen.add(out.dtype)
        return torch.nn.functional.group_norm(out, 1, *(self.layer.bias.new_ones(1), self.layer.bias.new_zeros(1)))


def measured(decoder, precision="auto"):
    y = torch.linspace(-1, 1, 16).reshape(1, 1, 4, 4)
    likelihood = Likelihood(
        Measurement(y, Scale(), noise_floor=1.0), Autoencoder(decoder, decoding=Decoding(precision=precision))
    )
    z = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    return likelihood.residual_and_gradient(z)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_other_weights_than_single_keep_their_precision(bfloat16_in_hardware, dtype):
    decoder, exact = Decoder(dtype), Decoder(torch.float32)
    residual, gradient = measured(decoder)
    assert decoder.seen == {dtype}
    full = measured(exact, "full")
    assert torch.allclose(residual, full[0], rtol=0.05)
    assert torch.allclose(gradient, full[1], atol=0.05 * float(full[1].abs().max()))


def test_single_weights_are_computed_with_in_bfloat16_unless_told_otherwise(bfloat16_in_hardware):
    decoder = Decoder(torch.float32)
    measured(decoder)
    assert decoder.seen == {torch.bfloat16}
    decoder.seen.clear()
    measured(decoder, "full")
    assert decoder.seen == {torch.float32}


def test_autocast_over_half_weights_is_what_torch_refuses():
    """The reason for the rule; should it fail one day, torch mixes them."""
    decoder = Decoder(torch.float16)
    with (
        pytest.raises(RuntimeError, match=r"(?i)mixed dtype|same dtype|should be the same|expected"),
        autocast("cpu", torch.bfloat16),
    ):
        decoder(torch.randn(1, 1, 4, 4))


def test_what_a_decoders_weights_are_in():
    class Declared:
        dtype = torch.float16

    assert weights_dtype(Declared()) == torch.float16
    assert weights_dtype(Decoder(torch.bfloat16)) == torch.bfloat16
    assert weights_dtype(Decoder(torch.float32)) == torch.float32
    assert weights_dtype(lambda z: z) == torch.float32
    partly = torch.nn.Sequential(Conv2d(1, 1, 1), Conv2d(1, 1, 1).half())
    assert weights_dtype(partly) == torch.float16


def test_no_autocast_where_the_processor_has_no_bfloat16(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False, raising=False)
    with decoder_autocast(CPU, "auto", torch.float32):
        assert not torch.is_autocast_enabled("cpu")
