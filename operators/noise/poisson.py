r"""Poisson noise, of detectors that count photons.

An intensity I is recorded as :math:`N \sim \mathrm{Poisson}(\kappa I)`. As an amplitude, :math:`y = \sqrt{N/\kappa}`,
its standard deviation tends to :math:`1/(2\sqrt\kappa)` whatever I is; that is how :math:`\kappa` is given here, so
that 0.05 is comparable noise in both models (and is 100 counts per unit of intensity).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from ...diffusion.options import option
from .mixing import mixing_weights
from .model import NoiseModel

__all__ = ["PoissonNoise", "root_poisson_square"]

#: Expected counts below which the logarithm is that of this number: no image is ruled out for good by one black pixel,
#: and no gradient becomes NaN.
SMALLEST_RATE = 1e-9


@dataclass(frozen=True)
class PoissonNoise(NoiseModel):
    """Counts of an intensity. ``quantity`` says whether y is their root, an ``amplitude``, or they themselves.

    The operator knows which, so it sets ``quantity`` itself (:meth:`of`).
    """

    name: ClassVar[str] = "poisson"
    summary: ClassVar[str] = (
        "photon counts, 1/(4 · noise_sigma²) per unit of intensity (0.05 is 100 counts), the right one for "
        "photon-counting detectors."
    )

    noise_sigma: float = option(
        0.05,
        "Standard deviation of a recorded amplitude at many counts, 1/(2 · root of the counts per unit of intensity). "
        "0.05 is 100 counts.",
        minimum=0.0,
        maximum=1e9,
        step=0.01,
    )
    quantity: str = "amplitude"

    def check(self) -> None:
        super().check()
        if self.noise_sigma == 0:
            raise ValueError("noise_sigma is 0, which means infinitely many counts; use gaussian noise for no noise.")

    @property
    def never_negative(self) -> bool:
        return True

    @property
    def counts_per_unit(self) -> float:
        """Expected counts at intensity 1: kappa."""
        return 0.25 / self.noise_sigma**2

    def of(self, quantity: str) -> PoissonNoise:
        return replace(self, quantity=quantity)

    def draw(self, values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        if bool((values < 0).any()):
            raise ValueError(
                f"the operator's values go down to {float(values.min()):.3g}, and nothing is counted below 0; use "
                "gaussian noise."
            )
        intensity = self._intensity(values)
        counts = torch.poisson((intensity * self.counts_per_unit).to(generator.device), generator=generator)
        intensity = counts.to(values.device) / self.counts_per_unit
        return intensity.sqrt() if self.quantity == "amplitude" else intensity

    def negative_log_likelihood(self, y: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        r""":math:`\lambda - N\log\lambda + \log N!` with the rate :math:`\lambda = \kappa I(a)` and the counts N of y.

        It is that of a probability, not of a density. Counts need not be whole, as in rescaled data.
        """
        counts, rate = self.counts_per_unit * self._intensity(y), self.counts_per_unit * self._intensity(values)
        return rate - torch.special.xlogy(counts, rate.clamp_min(SMALLEST_RATE)) + torch.lgamma(counts + 1)

    def expected_square(self, values: torch.Tensor) -> torch.Tensor:
        if self.quantity == "intensity":
            return values / self.counts_per_unit
        expected_counts = values.square() * self.counts_per_unit
        return root_poisson_square(expected_counts) / self.counts_per_unit

    def floor_from_data(self, y: torch.Tensor) -> float:
        if self.quantity == "intensity":
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

    def _intensity(self, values: torch.Tensor) -> torch.Tensor:
        return values.square() if self.quantity == "amplitude" else values


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
