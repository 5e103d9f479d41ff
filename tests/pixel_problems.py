"""Small problems for parts that decode and encode: a differentiable decoder of colours, its inverse, runs with them.

Latents are ``[N, 3, 4, 4]``, pictures ``[N, 3, 8, 8]``. The decoder is not linear, and no latent draws the truth.
"""

from __future__ import annotations

import math

import torch
from linear_problem import gaussian_denoiser
from one_level import level_at
from sampler_lab.diffusion.observer import SILENT, Observer
from sampler_lab.diffusion.parameterization import VE
from sampler_lab.operators import GaussianNoise, Grey, PhaseRetrieval
from sampler_lab.posterior.autoencoder import Autoencoder
from sampler_lab.posterior.decoding import Decoding
from sampler_lab.posterior.likelihood import Likelihood
from sampler_lab.posterior.particles import Denoiser, Particles
from sampler_lab.samplers.latent_daps import sample_latent_daps
from sampler_lab.schedulers import poly_rho

MIX = torch.tensor([[0.8, 0.3, 0.1], [-0.2, 0.7, 0.3], [0.2, -0.3, 0.6]])
SHAPE = (3, 4, 4)


def decoder(z):
    """Every number of the latent becomes four pixels of mixed colours, within [-0.9, 0.9]."""
    mixed = torch.einsum("dc,nchw->ndhw", MIX.to(z), z)
    return 0.9 * torch.tanh(0.5 * mixed).repeat_interleave(2, -2).repeat_interleave(2, -1)


def encoder(images):
    """The latent whose picture is nearest in the mean of four pixels; the decoder's inverse on its own pictures."""
    mixed = 2 * torch.atanh(torch.nn.functional.avg_pool2d(images / 0.9, 2).clamp(-0.98, 0.98))
    return torch.einsum("dc,nchw->ndhw", MIX.inverse().to(images), mixed)


def normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def latents(n=4, seed=1, dtype=torch.float32):
    return torch.cat([normal(1, *SHAPE, seed=100 * seed + k, dtype=dtype) for k in range(n)])


def truth(dtype=torch.float32):
    """A picture of the decoder with a little on it that no latent draws."""
    return (decoder(latents(1, 7, dtype)) + 0.1 * normal(1, 3, 8, 8, seed=5, dtype=dtype)).clamp(-1, 1)


def phaseless(sigma=0.05, dtype=torch.float32, **settings):
    return PhaseRetrieval(**settings, noise=GaussianNoise(sigma)).measure(truth(dtype), 3)


def grey(sigma=0.05):
    return Grey(noise=GaussianNoise(sigma, clip_negative=False)).measure(truth(), 3)


def likelihood_of(measurement, decode=decoder, encode=encoder, micro_batch=0, observer=SILENT):
    decoding = Decoding(micro_batch=micro_batch, precision="full")
    return Likelihood(measurement, Autoencoder(decode, encode, decoding, observer))


def particles_of(z, mask=None, observer=SILENT, denoise=None, seed=3):
    """Particles at these latents, of a model of latents that are N(0, 1)."""
    model = denoise or gaussian_denoiser(VE)
    extra_args = {} if mask is None else {"denoise_mask": mask}
    return Particles(z, Denoiser(lambda x, sigma, **_: model(x, sigma), extra_args, z.dtype, observer), seed)


def step(part, z, measurement, sigma=0.2, mask=None, **settings):
    """One data step by itself: z0, the level as it left it."""
    level = level_at(likelihood_of(measurement, **settings), sigma, settings.get("observer", SILENT))
    return part(particles_of(z, mask), z, level), level


def run(method, measurement, parameterization=VE, n=4, steps=6, x=None, extra_args=None, model=None, **arguments):
    """The latents that a whole run returns."""
    sigmas = parameterization.sigma_from_ve(poly_rho(steps, 0.05, 20.0))
    return sample_latent_daps(
        model or gaussian_denoiser(parameterization),
        latents(n, 2) * sigmas[0] if x is None else x,
        sigmas,
        extra_args={"seed": 5, **(extra_args or {})},
        disable=True,
        measurement=measurement,
        method=method,
        parameterization=parameterization,
        **{"decoder": decoder, "encoder": encoder, **arguments},
    )


class Asking(Observer):
    """Writes into ``events`` that it was asked; the ``last`` time it cancels."""

    def __init__(self, events, last=math.inf):
        self.events, self.last = events, last

    def raise_if_cancelled(self):
        self.events.append("asked")
        if self.events.count("asked") == self.last:
            raise InterruptedError


def noted(events, name, function):
    """The function, which writes its name into ``events`` when it is called."""

    def call(values):
        events.append(name)
        return function(values)

    return call
