r"""How wrong is a spectrum? Its misfit tells, band by band, without the truth.

Let U be the spectrum of a picture and :math:`U^* = U + E` that of the truth, E circular with :math:`E|E|^2 = v` (but
for the four frequencies that are their own opposite, where a real object's E is real). The recorded amplitude is
:math:`y = |U^*| + n`. As long as v is small beside |U|², the phase error moves U sideways and only the radial half of E
changes the amplitude: :math:`E(|U^*| - |U|)^2 = v/2 - v^2/(16|U|^2) - \dots` Noise adds its own
:math:`\nu(|U|) = E\,n^2`, so

.. math:: v = 2\,E\big[(|U| - y)^2 - \nu(|U|)\big],

which is averaged over a band of frequencies, where v is taken as constant. Errors of the whole picture follow from
Parseval: per pixel of the image, N/n times the mean over the N frequencies of a frame in which the image has n pixels
(the frame around it is known to be empty).

That is unbiased where amplitudes are well above their errors and the noise (clipped: three standard deviations of it;
counted, or as a root of intensities: ten). Elsewhere it is not. At v = |U|² it takes an eighth too little; where U is
missing, |U| far below its error, twice what is right, and more where noise was clipped; of two unrelated spectra of one
size 0.43 of it. What it is used for, the trust in phases, is then far from decided anyhow.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from .half_spectrum import HalfSpectrum

__all__ = ["Bands", "MisfitVariance", "Tabulated"]

#: Bands are this share of their radius wide, and so many samples more: 13 for a frame of 96 samples, 21 for one of 384.
RELATIVE_WIDTH, LEAST_WIDTH, FIRST_EDGE = 0.2, 1.4, 1.5


class Bands:
    """Rings of the half spectrum.

    index: of every frequency's band, ``[h, w // 2 + 1]``.
    weights: what an entry counts in the mean of its band, ``[C, h, w // 2 + 1]``: the valid recordings behind it.
    """

    def __init__(self, data: HalfSpectrum) -> None:
        radius = data.radius()
        edges, edge = [], FIRST_EDGE
        while edge < float(radius.max()):
            edges.append(edge)
            edge += RELATIVE_WIDTH * edge + LEAST_WIDTH
        self.index = torch.bucketize(radius, radius.new_tensor(edges))
        self.count = len(edges) + 1
        self.weights = data.copies * data.recorded
        self._flat = self.index.flatten()
        self._total = self._sum(self.weights[None])[0]  # [C, bands]

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """Means of ``values`` ``[N, C, h, w // 2 + 1]`` over each band, ``[N, C, bands]``; 0 for an empty one."""
        return self._sum(values * self.weights) / self._total.clamp_min(1e-12)

    def mean_of_all(self, means: torch.Tensor) -> torch.Tensor:
        """The mean over all valid recordings, ``[N]``, from those of the bands ``[N, C, bands]``."""
        return (means * self._total).sum((1, 2)) / self._total.sum()

    def spread(self, means: torch.Tensor) -> torch.Tensor:
        """``[N, C, bands]`` back to frequencies, ``[N, C, h, w // 2 + 1]``."""
        return means[..., self.index]

    def _sum(self, values: torch.Tensor) -> torch.Tensor:
        found = values.new_zeros(*values.shape[:2], self.count)
        return found.index_add_(2, self._flat, values.flatten(2))


class Tabulated:
    """A function of one amplitude, read from a table: :math:`\\nu(a)` is asked for millions of values at once.

    The table is dense near 0 (points at the squares of even steps), where noise models bend. With noise of 0.05 it is
    right within (largest + 10) millionths of the function's largest value; with less noise within as many times more.
    """

    POINTS = 4096

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor], largest: float) -> None:
        steps = torch.arange(self.POINTS, dtype=torch.float64) / (self.POINTS - 1)
        self._largest = max(largest, 1e-12)
        self._values = function(steps.square() * self._largest).float()

    def __call__(self, amplitude: torch.Tensor) -> torch.Tensor:
        """Linear between the points; beyond the largest the last value."""
        place = (amplitude / self._largest).clamp(0, 1).sqrt() * (self.POINTS - 1)
        below = place.long().clamp(0, self.POINTS - 2)  # NaN as a whole number is none of a table's places
        values = self._values.to(amplitude)
        return torch.lerp(values[below], values[below + 1], place - below)


class MisfitVariance:
    """v of spectra, by band and in all.

    Args:
        data: the recorded amplitudes.
        noise_square: :math:`\\nu(a)`, the expected squared noise of a recorded amplitude.
        bands: of the spectrum.
    """

    def __init__(self, data: HalfSpectrum, noise_square: Callable[[torch.Tensor], torch.Tensor], bands: Bands) -> None:
        self.data, self.noise_square, self.bands = data, noise_square, bands

    def __call__(self, amplitude: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``amplitude`` |U| ``[N, C, h, w // 2 + 1]`` to v of the bands ``[N, C, bands]`` and of all ``[N]``.

        Unbiased, so it may be negative where there is less misfit than noise; who uses it decides what then.
        """
        d = self.data
        first, second = (amplitude - d.first).square(), (amplitude - d.second).square()
        squares = (first * d.valid_first + second * d.valid_second) / d.recorded.clamp_min(1)
        by_band = 2 * self.bands.mean(squares - self.noise_square(amplitude))
        return by_band, self.bands.mean_of_all(by_band)
