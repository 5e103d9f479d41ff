"""Pictures, patterns and a linear operator that the operator tests share."""

import math
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import torch
from sampler_lab.operators import GaussianNoise, LinearOperator, NoiseModel


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def picture(n=1, height=16, width=16, seed=0, dtype=torch.float32):
    """Smooth images ``[n, 3, height, width]`` in [-1, 1]: like photographs, most of their amplitudes are small."""
    coarse = torch.rand(n, 3, 4, 4, generator=generator(seed), dtype=dtype)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    return smooth * 2 - 1


def disc(size=16, radius=4.0, background=-1.0):
    """A coloured disc with a notch (not point-symmetric), alone in a frame of ``background``."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    centre = (size - 1) / 2
    inside = (rows - centre) ** 2 + (columns - centre) ** 2 < radius**2
    inside &= ~((rows < centre) & (columns > centre))
    colour = torch.tensor([0.9, 0.2, -0.5])[None, :, None, None]
    return torch.where(inside, colour, torch.tensor(background))


def fourier_sum(u):
    """The defining sum, frequencies -P//2 … in rising order: no FFT involved."""

    def matrix(n):
        k, j = torch.arange(n, dtype=torch.float64) - n // 2, torch.arange(n, dtype=torch.float64)
        return torch.exp(-2j * math.pi * k[:, None] * j / n) / math.sqrt(n)

    return matrix(u.shape[-2]) @ u.to(torch.complex128) @ matrix(u.shape[-1]).T


@dataclass(frozen=True)
class Halving(LinearOperator):
    """The smallest operator there is, for what holds of any of them: y = x / 2 + noise."""

    noise: NoiseModel = field(default=GaussianNoise(0.1, clip_negative=False), kw_only=True)

    def __call__(self, image):
        return image / 2


@dataclass(frozen=True)
class Blend(LinearOperator):
    """Each pixel mixed with its right neighbour and its colours: neither symmetric nor diagonal, smaller than x."""

    def __call__(self, image):
        mixed = torch.einsum("dc,nchw->ndhw", image.new_tensor([[0.5, 0.2, 0.1], [0.0, 0.7, -0.4]]), image)
        return mixed[..., 1:] - 0.3 * mixed[..., :-1]

    def measurement_shape(self, image_shape):
        return (2, image_shape[0], image_shape[1] - 1)

    def image_shape(self, detector_shape):
        return (detector_shape[0], detector_shape[1] + 1)


def matlab73(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """What MATLAB's ``save -v7.3`` writes: HDF5 behind a header of its own, axes reversed, complex as a pair."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in arrays.items():
            if np.iscomplexobj(value):
                pair = np.zeros(value.shape, dtype=[("real", "<f8"), ("imag", "<f8")])
                pair["real"], pair["imag"] = value.real, value.imag
                value = pair
            file.create_dataset(name, data=value.T).attrs["MATLAB_class"] = np.bytes_("double")
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512))
