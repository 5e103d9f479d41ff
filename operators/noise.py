r"""Noise models, and the residual that the truth itself leaves: the noise floor :math:`E\|A(x) - y\|^2`.

**Gaussian**: :math:`y = a + n`, :math:`n \sim N(0, \sigma^2)`; the floor is :math:`m\sigma^2`. At the noise of phase
retrieval benchmarks most amplitudes are below :math:`\sigma`, so a large part of y is negative, which no amplitude is.
Clipped, :math:`y = \max(a + n, 0)`, with :math:`s = a/\sigma` and the normal density and distribution :math:`\varphi,
\Phi`,

.. math:: E(y - a)^2 = \sigma^2\,[\Phi(s) - s\varphi(s) + s^2\Phi(-s)],

half of :math:`\sigma^2` at a = 0.

**Poisson**: an intensity I is recorded as :math:`N \sim \mathrm{Poisson}(\kappa I)` counts. As an amplitude,
:math:`y = \sqrt{N/\kappa}`, its standard deviation tends to :math:`1/(2\sqrt\kappa)` whatever I is; that is how
:math:`\kappa` is given here, so that 0.05 is comparable noise in both models (and is 100 counts per unit of intensity).

**When the truth is unknown.** Both floors then depend on amplitudes that nobody has, and putting y in their place is
biased (a clipped 0 is not an amplitude of 0). But the floor is a sum over pixels, so only the *distribution* of
amplitudes matters, and that can be estimated from the distribution of y: the mixing distribution of largest likelihood
(Kiefer & Wolfowitz 1956), found by expectation maximisation over a grid.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch

from .fourier import point_reflection

__all__ = ["GaussianNoise", "NoiseModel", "PoissonNoise", "estimate_sigma", "mixing_weights"]


class NoiseModel(ABC):
    """How y scatters around the noiseless values."""

    @abstractmethod
    def draw(self, values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """A noisy copy of ``values``, drawn on the generator's device."""

    @abstractmethod
    def expected_square(self, values: torch.Tensor) -> torch.Tensor:
        """E(y - a)² for every noiseless value a, shaped like ``values``."""

    @abstractmethod
    def floor_from_data(self, y: torch.Tensor) -> float:
        """The sum of E(y - a)² over the pixels, estimated from y (any shape; valid pixels only)."""


@dataclass(frozen=True)
class GaussianNoise(NoiseModel):
    """Normal noise of standard deviation ``sigma``; ``clip`` sets negative results to 0.

    >>> GaussianNoise(0.1, clip=True).expected_square(torch.tensor([0.0, 1.0]))
    tensor([0.0050, 0.0100])
    """

    sigma: float
    clip: bool = True

    def draw(self, values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        noise = torch.randn(values.shape, generator=generator, device=generator.device)  # float32 for every values
        y = values + self.sigma * noise.to(values.device)
        return y.clamp_min(0) if self.clip else y

    def expected_square(self, values: torch.Tensor) -> torch.Tensor:
        if not self.clip or self.sigma == 0:
            return torch.full_like(values, self.sigma**2)
        s = values / self.sigma
        density = torch.exp(-0.5 * s.square()) / math.sqrt(2 * math.pi)
        return self.sigma**2 * (torch.special.ndtr(s) - s * density + s.square() * torch.special.ndtr(-s))

    def floor_from_data(self, y: torch.Tensor) -> float:
        if not self.clip or self.sigma == 0:
            return y.numel() * self.sigma**2
        # In units of sigma: values in cells of 0.1 up to 8, one cell for "clipped", one for the rest, where clipping
        # no longer matters; amplitudes on a grid that reaches so far beyond 8 that all of them fall into that cell.
        edges = torch.arange(0, 81, dtype=torch.float64) / 10
        amplitudes = torch.arange(0, 141, dtype=torch.float64) / 10
        below = torch.special.ndtr(edges[:, None] - amplitudes)
        likelihood = torch.cat([below[:1], below.diff(dim=0), 1 - below[-1:]])
        counts = torch.bincount(torch.bucketize(y.double().flatten().cpu() / self.sigma, edges), minlength=82)
        squares = replace_sigma(self, 1.0).expected_square(amplitudes)
        return y.numel() * self.sigma**2 * float(mixing_weights(likelihood, counts) @ squares)


@dataclass(frozen=True)
class PoissonNoise(NoiseModel):
    """Counts of an intensity; ``kind`` says whether y is their root (an amplitude) or they themselves.

    amplitude_sigma: standard deviation of a recorded amplitude at many counts, 1 / (2 sqrt(counts per unit)).
    """

    amplitude_sigma: float
    kind: Literal["amplitude", "intensity"] = "amplitude"

    @property
    def counts_per_unit(self) -> float:
        """Expected counts at intensity 1."""
        return 0.25 / self.amplitude_sigma**2

    def draw(self, values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        intensity = values.square() if self.kind == "amplitude" else values
        counts = torch.poisson((intensity * self.counts_per_unit).to(generator.device), generator=generator)
        intensity = counts.to(values.device) / self.counts_per_unit
        return intensity.sqrt() if self.kind == "amplitude" else intensity

    def expected_square(self, values: torch.Tensor) -> torch.Tensor:
        if self.kind == "intensity":
            return values / self.counts_per_unit
        expected_counts = values.square() * self.counts_per_unit
        return root_poisson_square(expected_counts) / self.counts_per_unit

    def floor_from_data(self, y: torch.Tensor) -> float:
        if self.kind == "intensity":
            return float(y.double().sum()) / self.counts_per_unit  # linear in y: unbiased as it is
        top = 150
        counts = (y.double().square() * self.counts_per_unit).round().clamp(0, top + 1).long().flatten().cpu()
        rates = (torch.arange(1, 181, dtype=torch.float64) / 10).square()  # roots of 0.1 … 18
        rates = torch.cat([rates.new_zeros(1), rates])
        k = torch.arange(0, top + 1, dtype=torch.float64)[:, None]
        likelihood = torch.exp(torch.special.xlogy(k, rates) - rates - torch.lgamma(k + 1))
        likelihood = torch.cat([likelihood, (1 - likelihood.sum(0, keepdim=True)).clamp_min(0)])
        # Few counts say little about small rates, so the iteration needs longer to leave its uniform start.
        weights = mixing_weights(likelihood, torch.bincount(counts, minlength=top + 2), iterations=5000)
        return y.numel() / self.counts_per_unit * float(weights @ root_poisson_square(rates))


def replace_sigma(noise: GaussianNoise, sigma: float) -> GaussianNoise:
    """The same kind of noise with another sigma."""
    return GaussianNoise(sigma, noise.clip)


def root_poisson_square(rate: torch.Tensor) -> torch.Tensor:
    r""":math:`E(\sqrt N - \sqrt\lambda)^2` for :math:`N \sim \mathrm{Poisson}(\lambda)`: 0 at 0, 1/4 at infinity.

    It is :math:`2\lambda - 2\sqrt\lambda\,E\sqrt N`: summed up to rates of 50, by its asymptotic series beyond.
    """
    rate = rate.double()
    small = rate.clamp(max=50.0)
    root_mean = torch.zeros_like(small)
    for k in range(1, 131):
        root_mean += math.sqrt(k) * torch.exp(
            torch.special.xlogy(small.new_tensor(float(k)), small) - small - math.lgamma(k + 1)
        )
    summed = 2 * small - 2 * small.sqrt() * root_mean
    large = rate.clamp(min=50.0)
    series = 0.25 + 7 / (64 * large) + 75 / (512 * large.square())
    return torch.where(rate <= 50.0, summed, series)


def mixing_weights(likelihood: torch.Tensor, counts: torch.Tensor, iterations: int = 1000) -> torch.Tensor:
    """The weights w >= 0, sum 1, that maximise the likelihood of ``counts`` under the mixture ``likelihood @ w``.

    Args:
        likelihood: ``[cells, components]``, the probability of each cell under each component.
        counts: ``[cells]``, how often each cell was observed.
        iterations: of expectation maximisation; each raises the likelihood.
    """
    share = counts.to(likelihood) / counts.sum()
    weights = torch.full_like(likelihood[0], 1 / likelihood.shape[1])
    for _ in range(iterations):
        mixture = likelihood @ weights
        weights = weights * (likelihood.T @ torch.where(share > 0, share / mixture.clamp_min(1e-300), 0.0))
    return weights / weights.sum()


def estimate_sigma(y: torch.Tensor, mask: torch.Tensor | None = None) -> float:
    """The noise of a centred amplitude pattern ``[1, C, h, w]`` of a real object, from the pattern alone.

    A real object's noiseless pattern is point-symmetric (Friedel's law), so y(k) and y(-k) are two recordings of the
    same value: their difference has variance 2 sigma². Pairs near zero, where clipping shortens the difference, are
    left out; choosing by the pair's *mean* does not bias its difference.

    Raises:
        ValueError: fewer than 16 bright pairs: the noise hides everything, or the pattern is not that of a real object.
    """
    pair, valid = point_reflection(y), torch.ones_like(y, dtype=torch.bool)
    if mask is not None:
        valid = (mask > 0) & (point_reflection(mask.expand_as(y)) > 0)
    half = torch.arange(y[0, 0].numel(), device=y.device).reshape(y.shape[-2:])
    valid = valid & (half < point_reflection(half))  # each pair once, self-paired pixels never
    difference, mean = (y - pair)[valid].double(), (y + pair)[valid].double() / 2
    sigma = 0.0
    for _ in range(20):  # the threshold is in units of the sigma sought; this settles in a few rounds
        bright = difference[mean > 4 * sigma]
        if bright.numel() < 16:
            raise ValueError("the noise cannot be estimated: too few bright point-symmetric pixels; enter noise_sigma.")
        sigma, last = float(bright.square().mean().sqrt()) / math.sqrt(2), sigma
        if abs(sigma - last) <= 1e-6 * sigma:
            break
    return sigma
