r"""The noise of an amplitude, also where intensities were recorded.

Methods of phase retrieval work on amplitudes. A recorded intensity :math:`I = a^2 + n` becomes
:math:`y = \sqrt{\max(I, 0)}`, whose squared error :math:`E(y - a)^2` follows by quadrature; where counts were recorded
their roots have a noise model of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from .noise import PoissonNoise
from .phase_retrieval import PhaseRetrieval

__all__ = ["amplitude_noise"]

#: How many standard deviations of the intensity are integrated over.
REACH = 8.0


def amplitude_noise(operator: PhaseRetrieval) -> Callable[[torch.Tensor], torch.Tensor]:
    """:math:`\\nu(a) = E(y - a)^2` of an amplitude y, for noiseless amplitudes a."""
    noise = operator.noise
    if operator.quantity == "amplitude":
        return noise.expected_square
    if isinstance(noise, PoissonNoise):
        return noise.of("amplitude").expected_square
    return lambda a: root_square(a, noise.noise_sigma)


def root_square(a: torch.Tensor, sigma: float) -> torch.Tensor:
    r""":math:`E(\sqrt{\max(a^2 + \sigma n, 0)} - a)^2` for standard normal n, by Gauss-Legendre quadrature.

    Over the root y, whose density :math:`2y\,\varphi((y^2 - a^2)/\sigma)/\sigma` is smooth down to 0, where what was
    negative lies in one point. (Over n the root has a kink, and Gauss-Hermite errs by 2 per cent.)
    """
    a = a.double()[..., None]
    if sigma == 0:
        return torch.zeros_like(a[..., 0])
    nodes, weights = (torch.from_numpy(each).to(a) for each in np.polynomial.legendre.leggauss(64))
    low, high = ((a.square() + reach * sigma).clamp_min(0).sqrt() for reach in (-REACH, REACH))
    y = low + (high - low) * (1 + nodes) / 2
    density = 2 * y * torch.exp(-0.5 * ((y.square() - a.square()) / sigma).square()) / (sigma * math.sqrt(2 * math.pi))
    seen = ((y - a).square() * density * weights).sum(-1, keepdim=True) * (high - low) / 2
    return (seen + a.square() * torch.special.ndtr(-a.square() / sigma))[..., 0]
