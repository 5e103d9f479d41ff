"""VE and CONST coordinates: closed forms, inverses and limits."""

import math

import pytest
import torch
from sampler_lab.diffusion.parameterization import CONST, VE, parameterization_of


def test_closed_forms():
    sigma = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    assert torch.equal(VE.alpha(sigma), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(CONST.alpha(sigma), 1 - sigma)
    torch.testing.assert_close(VE.half_log_snr(sigma), -sigma.log())
    torch.testing.assert_close(CONST.half_log_snr(sigma), ((1 - sigma) / sigma).log())


@pytest.mark.parametrize("p", [VE, CONST], ids=lambda p: p.name)
def test_maps_are_inverse_for_floats_and_tensors(p):
    for sigma in (0.01, 0.3, 0.97):
        assert p.sigma_from_ve(p.sigma_ve(sigma)) == pytest.approx(sigma, rel=1e-12)
        assert p.sigma_from_half_log_snr(p.half_log_snr(sigma)) == pytest.approx(sigma, rel=1e-12)
        as_tensor = torch.tensor(sigma, dtype=torch.float64)
        torch.testing.assert_close(p.sigma_from_half_log_snr(p.half_log_snr(as_tensor)), as_tensor)
        x = torch.randn(2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        torch.testing.assert_close(p.from_ve(p.to_ve(x, sigma), sigma), x)


def test_a_flow_at_its_ends():
    assert CONST.sigma_ve(1.0) == math.inf
    assert CONST.half_log_snr(1.0) == -math.inf
    assert CONST.sigma_from_ve(math.inf) == 1.0
    assert CONST.sigma_from_ve(torch.tensor([0.0, 1.0, math.inf])).tolist() == [0.0, 0.5, 1.0]
    assert CONST.sigma_from_half_log_snr(torch.tensor([-1e4, 1e4])).tolist() == [1.0, 0.0]


def test_a_model_declares_its_own():
    class Flow:
        parameterization = CONST

    class Odd:
        parameterization = "flow"

    assert parameterization_of(Flow()) is CONST
    assert parameterization_of(lambda x, sigma: x) is VE
    with pytest.raises(ValueError, match=r"model\.parameterization is 'flow'"):
        parameterization_of(Odd())
