r"""The noise of an amplitude, also where intensities were recorded.

Methods of phase retrieval work on amplitudes. A recorded intensity :math:`I = a^2 + n` becomes
:math:`y = \sqrt{\max(I, 0)}`, whose squared error :math:`E(y - a)^2` follows by quadrature; where counts were recorded
their roots have a noise model of their own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from .noise import PoissonNoise
from .phase_retrieval import PhaseRetrieval

__all__ = ["amplitude_noise"]


def amplitude_noise(operator: PhaseRetrieval) -> Callable[[torch.Tensor], torch.Tensor]:
    """:math:`\\nu(a) = E(y - a)^2` of an amplitude y, for noiseless amplitudes a."""
    noise = operator.noise
    if operator.quantity == "amplitude":
        return noise.expected_square
    if isinstance(noise, PoissonNoise):
        return noise.of("amplitude").expected_square
    return lambda a: root_square(a, noise.noise_sigma)


def root_square(a: torch.Tensor, sigma: float) -> torch.Tensor:
    r""":math:`E(\sqrt{\max(a^2 + \sigma n, 0)} - a)^2` for standard normal n, by Gauss-Hermite quadrature."""
    nodes, weights = (torch.from_numpy(each) for each in np.polynomial.hermite_e.hermegauss(64))
    root = (a.double()[..., None].square() + sigma * nodes).clamp_min(0).sqrt()
    return ((root - a.double()[..., None]).square() * (weights / weights.sum())).sum(-1)
