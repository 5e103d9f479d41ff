"""Tweedie's estimate: the denoiser's output, which is the posterior mean of the prior."""

import pytest
import torch
from linear_problem import gaussian_denoiser
from one_level import level_at
from pixel_problems import latents, likelihood_of, particles_of, phaseless
from sampler_lab.diffusion.parameterization import CONST, VE
from sampler_lab.instruments.calls import Calls
from sampler_lab.posterior.estimates.tweedie import Tweedie
from sampler_lab.posterior.interaction.repulsion import Repulsion


def estimate(particles, sigma):
    return Tweedie()(particles, level_at(likelihood_of(phaseless()), sigma))


@pytest.mark.parametrize("parameterization", [VE, CONST], ids=lambda p: p.name)
@pytest.mark.parametrize("sigma", [0.1, 0.5, 0.9])
def test_it_is_the_posterior_mean(parameterization, sigma):
    """x = alpha z + sigma eps with z ~ N(0, 1): E[z | x] by Monte Carlo, as the slope of z on x."""
    alpha = parameterization.alpha(sigma)
    z, eps = (torch.randn(200_000, generator=torch.Generator().manual_seed(k), dtype=torch.float64) for k in (0, 1))
    x = alpha * z + sigma * eps
    slope = float((z * x).mean() / x.square().mean())
    interval = 4.5 * float((z - slope * x).std() / x.std()) / len(x) ** 0.5
    at = latents()
    found = estimate(particles_of(at, denoise=gaussian_denoiser(parameterization)), sigma)
    torch.testing.assert_close(found, slope * at, rtol=0, atol=interval * float(at.abs().max()) + 1e-6)


def test_it_is_one_call_for_each_particle():
    calls = Calls()
    estimate(particles_of(latents(3), observer=calls), 0.5)
    assert calls == Calls(denoiser=3)


def test_what_is_given_is_what_the_hosts_wrapper_returns():
    """The denoiser of a run with a mask gives the given part exactly; so does the estimate."""
    given, mask = latents(1, 9), torch.zeros(1, 3, 4, 4)
    mask[..., :2] = 1
    base = gaussian_denoiser(VE)
    particles = particles_of(latents(), mask, denoise=lambda x, sigma: base(x, sigma) * mask + given * (1 - mask))
    found = estimate(particles, 0.5)
    assert torch.equal(found[..., 2:], given.expand(4, -1, -1, -1)[..., 2:])


def test_it_knows_no_repulsion():
    with pytest.raises(ValueError, match=r"Denoised knows no repulsion; .* use Probability Flow"):
        Tweedie().repelled(Repulsion(strength=0.1))
