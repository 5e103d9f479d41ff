"""The shipped prior, a trained network, seen as an EDM model and as a flow: every sampler gives the same latents."""

from __future__ import annotations

import pytest
import torch
from sampler_lab.diffusion.parameterization import CONST, VE
from sampler_lab.priors.classes import NULL_CLASS, class_weights
from sampler_lab.priors.loader import load_emoji_prior
from sampler_lab.samplers import CATALOGUE
from sampler_lab.schedulers import poly_rho

SCALE = 0.8


@pytest.fixture(scope="module")
def prior():
    return load_emoji_prior()


def view(prior, parameterization):
    """The prior's denoiser in these coordinates, guided from no class to "animal", with the host's hooks."""

    def model(x, sigma, model_options=None, seed=None):
        level = sigma.reshape(-1, 1, 1, 1)
        x_ve, sigma_ve = parameterization.to_ve(x, level), parameterization.sigma_ve(sigma)
        cond, uncond = (prior.denoiser(x_ve, sigma_ve, class_weights(c)) for c in ("animal", NULL_CLASS))
        denoised = torch.lerp(uncond, cond, SCALE)
        for hook in (model_options or {}).get("sampler_post_cfg_function", []):
            denoised = hook({"denoised": denoised, "uncond_denoised": uncond, "uncond": ["none"]})
        return denoised

    return model


@pytest.mark.parametrize("sampler", CATALOGUE, ids=lambda e: e.name)
def test_edm_and_flow_give_the_same_latents(prior, sampler):
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(5))
    out = []
    for parameterization in (VE, CONST):
        sigmas = parameterization.sigma_from_ve(poly_rho(8, 0.05, 20.0).double()).float()
        out.append(
            sampler.function(
                view(prior, parameterization),
                noise * sigmas[0],
                sigmas,
                {"seed": 5},
                disable=True,
                parameterization=parameterization,
            )
        )
    assert out[0].std() > 0.3
    assert (out[1] - out[0]).norm() / out[0].norm() <= 1e-4
