"""Gradient estimation beside its authors' own library (smalldiffusion, of which ``gam`` is our gamma), on VE."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from problems import PRIOR, VE, GuidedModel
from sampler_lab.samplers import entry

smalldiffusion = pytest.importorskip("smalldiffusion", reason="smalldiffusion is not installed")


class NoisePredictor(torch.nn.Module):
    """The test's denoiser as smalldiffusion calls models: it wants eps = (x - D)/sigma."""

    def predict_eps_cfg(self, x, sigma, cond, cfg_scale):
        return (x - GuidedModel(VE, PRIOR)(x, sigma.expand(len(x)))) / sigma

    def rand_input(self, batchsize):
        return torch.zeros(batchsize, 6)


@pytest.mark.parametrize("gamma", [1.0, 1.5, 2.0])
def test_gradient_estimation_is_smalldiffusions(gamma):
    # It ends above 0: at 0 the host and we return D, smalldiffusion takes one more corrected step.
    sigmas = smalldiffusion.ScheduleLogLinear(200, 0.01, 20.0).sample_sigmas(15).double()
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * sigmas[0]
    theirs = list(
        smalldiffusion.samples(
            NoisePredictor(), sigmas, gam=gamma, xt=x, accelerator=SimpleNamespace(device=torch.device("cpu"))
        )
    )
    states = []
    found = entry("gradient_estimation").function(
        GuidedModel(VE, PRIOR), x, sigmas, callback=states.append, disable=True, ge_gamma=gamma
    )
    assert len(theirs) == len(states) == 15
    for expected, state in zip(theirs, states[1:], strict=False):
        assert torch.allclose(state["x"], expected, rtol=1e-10, atol=1e-10)
    assert torch.allclose(found, theirs[-1], rtol=1e-10, atol=1e-10)
