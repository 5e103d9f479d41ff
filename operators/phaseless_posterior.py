"""The posterior of pictures under phase retrieval: misfit by band, soft phases, an accelerated fixed point.

One variance stands for the noise of all amplitudes. Amplitudes have it, and so have the roots of counts. The roots of
intensities with Gaussian noise do not: where the noise drowns a dim intensity its root is far too large, and a picture
that is told to have it may move away from the truth (by up to 18 per cent at noise of 0.05 in
``tests/operators/test_phaseless_posterior.py``; at 0.005 it moves nearer).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..diffusion.observer import SILENT, Observer
from ..diffusion.tensors import per_row
from .amplitude_noise import amplitude_noise
from .classical.error_reduction import amplitudes, phase_retrieval_of
from .half_spectrum import HalfSpectrum
from .measurement import Measurement
from .misfit import Bands, MisfitVariance, Tabulated
from .pixel_posterior import ErrorEstimate, PixelPosterior
from .soft_phases import soft_error_reduction, solve

__all__ = ["PhaselessPosterior", "SpectrumError"]

#: Smallest variances that are believed in, in units of the noise's own: of a frequency, and of a pixel.
LEAST_FREQUENCY_VARIANCE, LEAST_PIXEL_VARIANCE = 0.04, 0.008


@dataclass(frozen=True)
class SpectrumError(ErrorEstimate):
    """v: variance of every frequency, ``[N, C, h, w // 2 + 1]``, in units of the object."""

    v: torch.Tensor


class PhaselessPosterior(PixelPosterior[SpectrumError]):
    """Of pictures ``[N, 3, H, W]`` in [-1, 1] that one measurement by phase retrieval is about."""

    def __init__(self, measurement: Measurement, observer: Observer = SILENT) -> None:
        """``observer`` is asked before every iteration whether the run is cancelled."""
        operator = phase_retrieval_of(measurement)
        y = amplitudes(measurement)
        self._operator, self._observer = operator, observer
        self._slope = 0.5 if operator.signal_range == "0..1" else 1.0  # of the object in the image
        # The variance of the object's errors when those of the image's values are independent, of variance 1.
        self._gain = self._slope**2 / (3 if operator.channels == "mean" else 1)
        self._limits = (0.0, 1.0) if operator.signal_range == "0..1" else (-1.0, 1.0)
        self._data = HalfSpectrum.of(measurement, y)
        largest = 1.25 * float(y.max()) + 1e-6
        noise_square = Tabulated(amplitude_noise(operator), largest)
        recorded = self._data.recorded * self._data.copies
        self._noise = max(float((noise_square(self._data.mean) * recorded).sum() / recorded.sum()), 1e-12)
        if operator.quantity == "amplitude":
            self._noise = max(operator.noise.noise_sigma**2, 1e-12)
        self._misfit = MisfitVariance(self._data, noise_square, Bands(self._data))
        self._padding = math.prod(self._data.frame) / math.prod(measurement.image_shape)
        self.noise_variance = self._noise / self._gain

    def error(self, x0: torch.Tensor, by_band: bool = True) -> SpectrumError:
        return self._error(self._operator.object(x0), by_band)

    def _error(self, u0: torch.Tensor, by_band: bool) -> SpectrumError:
        bands, mean = self._misfit(self._data.transform(u0).abs())
        pixel = (mean * self._padding).clamp_min(LEAST_PIXEL_VARIANCE * self._noise)
        if by_band:
            v = self._misfit.bands.spread(bands.clamp_min(LEAST_FREQUENCY_VARIANCE * self._noise))
        else:
            v = (per_row(pixel, u0) / self._padding).expand(-1, *self._data.mean.shape)
        return SpectrumError(pixel / self._gain, v)

    def mean(
        self,
        x0: torch.Tensor,
        error: SpectrumError,
        variance: torch.Tensor,
        iterations: int,
        start: torch.Tensor | None = None,
        momentum: bool = True,
    ) -> torch.Tensor:
        u0 = self._operator.object(x0)
        weight = self._noise / (variance * self._gain)
        u = solve(
            self._expected(error),
            u0,
            weight,
            self._limits,
            iterations,
            None if start is None else self._operator.object(start),
            momentum,
        ).to(x0)
        if u.shape == x0.shape:
            return self._operator.image(u)
        # Only the mean of the channels is seen; each has as large a share in its error, so each moves as it does.
        return (x0 + (u - u0) / self._slope).clamp(-1, 1)

    def _expected(self, error: SpectrumError) -> Callable[[torch.Tensor], torch.Tensor]:
        def expected(u: torch.Tensor) -> torch.Tensor:
            self._observer.raise_if_cancelled()
            return soft_error_reduction(u, self._data, error.v)

        return expected
