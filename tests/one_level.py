"""One data step by itself: a level with everything that a step may ask, and particles to take it."""

from __future__ import annotations

import torch
from sampler_lab.diffusion.observer import SILENT
from sampler_lab.diffusion.parameterization import VE
from sampler_lab.posterior.level import Level
from sampler_lab.posterior.particles import Denoiser, Particles


def level_at(likelihood, sigma=1.0, observer=SILENT):
    """The first of ten steps, at the VE level ``sigma``."""
    at, following = torch.tensor(sigma), torch.tensor(sigma / 2)
    return Level(0, at, following, [sigma * 0.5**i for i in range(10)], VE, likelihood, observer)


def last_level(likelihood, parameterization=VE, observer=SILENT):
    """The last step of a run: what follows is clean."""
    sigma = parameterization.sigma_from_ve(torch.tensor(0.1))
    return Level(0, sigma, torch.tensor(0.0), [0.1], parameterization, likelihood, observer)


def run_chain(z0_hat, likelihood, width, chain, noise, mask=None, observer=SILENT):
    """The chain's last state, and whose chain failed; ``width``: of the prior, for chains with the width "sigma"."""
    denoiser = Denoiser(lambda x, sigma, **_: x, {} if mask is None else {"denoise_mask": mask})
    particles = Particles(z0_hat, denoiser, noise=noise)
    z = chain(particles, z0_hat, level_at(likelihood, width, observer))
    return z, torch.tensor([name in particles.broken for name in particles.names])
