r"""Gaussian noise: :math:`y = a + n`, :math:`n \sim N(0, \sigma^2)`, or what an instrument shows of it.

Without clipping the floor is :math:`m\sigma^2`. At the noise of phase retrieval benchmarks most amplitudes are below
:math:`\sigma`, so a large part of y is negative, which no amplitude is. Clipped, :math:`y = \max(a + n, 0)`, with
:math:`s = a/\sigma` and the normal density and distribution :math:`\varphi, \Phi`,

.. math:: E(y - a)^2 = \sigma^2\,[\Phi(s) - s\varphi(s) + s^2\Phi(-s)],

half of :math:`\sigma^2` at a = 0. The floor then depends on amplitudes that nobody has, and putting y in their place is
biased (a clipped 0 is not an amplitude of 0); see :mod:`mixing` for what is done instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from ...diffusion.options import option
from .mixing import mixing_weights
from .model import NoiseModel

__all__ = ["GaussianNoise"]


@dataclass(frozen=True)
class GaussianNoise(NoiseModel):
    """Normal noise of standard deviation ``noise_sigma``; ``clip_negative`` sets negative results to 0.

    >>> GaussianNoise(0.1).expected_square(torch.tensor([0.0, 1.0]))
    tensor([0.0050, 0.0100])
    """

    name: ClassVar[str] = "gaussian"
    summary: ClassVar[str] = "the same everywhere."

    noise_sigma: float = option(
        0.05,
        "Standard deviation of the noise on each recorded value, in its units. 0: no noise.",
        minimum=0.0,
        maximum=1e9,
        step=0.01,
    )
    clip_negative: bool = option(
        True,
        "Set what noise pushes below 0 to 0, as an instrument does whose values are never negative. Off: keep it.",
    )

    @property
    def never_negative(self) -> bool:
        return self.clip_negative

    def draw(self, values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        noise = torch.randn(values.shape, generator=generator, device=generator.device)  # float32 for every values
        y = values + self.noise_sigma * noise.to(values.device)
        return y.clamp_min(0) if self.clip_negative else y

    def negative_log_likelihood(self, y: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        r""":math:`(y - a)^2/2\sigma^2 + \log\sqrt{2\pi}\sigma`; of a clipped y, :math:`-\log\Phi(-a/\sigma)`.

        A clipped value has a probability and no density. A y below 0 counts as one that was clipped.
        """
        if self.noise_sigma == 0:
            raise ValueError("noise_sigma is 0, so the likelihood has no density; give it the noise of the data.")
        density = 0.5 * ((y - values) / self.noise_sigma).square() + math.log(self.noise_sigma * math.sqrt(2 * math.pi))
        if not self.clip_negative:
            return density
        return torch.where(y > 0, density, -torch.special.log_ndtr(-values / self.noise_sigma))

    def expected_square(self, values: torch.Tensor) -> torch.Tensor:
        if not self.clip_negative or self.noise_sigma == 0:
            return torch.full_like(values, self.noise_sigma**2)
        s = values / self.noise_sigma
        density = torch.exp(-0.5 * s.square()) / math.sqrt(2 * math.pi)
        return self.noise_sigma**2 * (torch.special.ndtr(s) - s * density + s.square() * torch.special.ndtr(-s))

    def floor_from_data(self, y: torch.Tensor) -> float:
        if not self.clip_negative or self.noise_sigma == 0:
            return y.numel() * self.noise_sigma**2
        # In units of sigma: values in cells of 0.1 up to 8, one cell for "clipped", one for the rest, where clipping
        # no longer matters; amplitudes on a grid that reaches so far beyond 8 that all of them fall into that cell.
        edges = torch.arange(0, 81, dtype=torch.float64) / 10
        amplitudes = torch.arange(0, 141, dtype=torch.float64) / 10
        below = torch.special.ndtr(edges[:, None] - amplitudes)
        likelihood = torch.cat([below[:1], below.diff(dim=0), 1 - below[-1:]])
        counts = torch.bincount(torch.bucketize(y.double().flatten().cpu() / self.noise_sigma, edges), minlength=82)
        squares = replace(self, noise_sigma=1.0).expected_square(amplitudes)
        return y.numel() * self.noise_sigma**2 * float(mixing_weights(likelihood, counts) @ squares)
