"""A linear Gaussian inverse problem whose posterior is known exactly: y = a·x + n, prior N(0, 1) per value."""

from __future__ import annotations

import torch
from sampler_lab.operators import Measurement, Operator


class Scale(Operator):
    """A(x) = gain · x, per value."""

    def __init__(self, gain: float = 1.0, noise_sigma: float = 0.5) -> None:
        self.gain, self.noise_sigma = gain, noise_sigma

    def __call__(self, image):
        return self.gain * image

    def measurement_shape(self, image_shape):
        return (1, *image_shape)

    def image_shape(self, detector_shape):
        return tuple(detector_shape)

    def measure(self, image, seed):
        noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed), dtype=image.dtype)
        return Measurement(self(image) + self.noise_sigma * noise, self, noise_floor=self.noise_floor(image))

    def noise_floor(self, truth=None, *, y=None, mask=None):
        return (truth if truth is not None else y).numel() * self.noise_sigma**2

    def to_dict(self):
        return {"name": "scale", "gain": self.gain, "noise_sigma": self.noise_sigma}


def identity_decoder(z):
    return z


def gaussian_denoiser(parameterization):
    """model(x, sigma) = E[x0 | x] for x0 ~ N(0, 1) per value; sigma ``[N]``."""

    def model(x, sigma, **extra_args):
        sigma = sigma.reshape(-1, *[1] * (x.ndim - 1))
        alpha = parameterization.alpha(sigma)
        return x * alpha / (alpha**2 + sigma**2)

    return model
