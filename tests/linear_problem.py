"""A linear Gaussian inverse problem whose posterior is known exactly: y = a·x + n, prior N(0, 1) per value."""

from __future__ import annotations

from dataclasses import InitVar, dataclass

import torch
from sampler_lab.diffusion.options import option
from sampler_lab.operators import GaussianNoise, LinearOperator, Measurement


@dataclass(frozen=True)
class Scale(LinearOperator):
    """A(x) = gain · x, per value, for latents of one channel."""

    gain: float = option(1.0, "What every value is multiplied by.")
    noise_sigma: InitVar[float] = 0.5

    def __post_init__(self, noise_sigma):
        object.__setattr__(self, "noise", GaussianNoise(noise_sigma, clip_negative=False))
        super().__post_init__()

    def __call__(self, image):
        return self.gain * image

    def adjoint(self, y):
        return self.gain * y

    def measurement_shape(self, image_shape):
        return (1, *image_shape)

    def measure(self, image, seed):
        """With noise in the image's own precision."""
        noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed), dtype=image.dtype)
        return Measurement(self(image) + self.noise.noise_sigma * noise, self)


def identity_decoder(z):
    return z


def gaussian_denoiser(parameterization):
    """model(x, sigma) = E[x0 | x] for x0 ~ N(0, 1) per value; sigma ``[N]``."""

    def model(x, sigma, **extra_args):
        sigma = sigma.reshape(-1, *[1] * (x.ndim - 1))
        alpha = parameterization.alpha(sigma)
        return x * alpha / (alpha**2 + sigma**2)

    return model
