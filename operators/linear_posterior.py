r"""The posterior of pictures under a linear operator and Gaussian noise: the proximal step.

With errors of one variance s² for every pixel the mean of p(x | y) is

.. math:: \arg\min_x \tfrac{1}{2\sigma^2}\|A(x) - y\|^2 + \tfrac{1}{2 s^2}\|x - x_0\|^2,

``LinearOperator.prox`` with weight s²/sigma². The misfit of a picture whose pixels have that error is
:math:`E\|A(x_0) - y\|^2 = m\sigma^2 + s^2 \|A\|_F^2`, from which s² follows; the squared norm is :math:`E\|A(z)\|^2` of
random signs z (Hutchinson's estimate).

Errors of a decoder are correlated, which matters where A sees few pixels; this is the simplest form that is right.
"""

from __future__ import annotations

import torch

from ..diffusion.tensors import per_row
from .linear import LinearOperator
from .measurement import Measurement
from .pixel_posterior import ErrorEstimate, PixelPosterior

__all__ = ["LinearPosterior"]

#: Smallest variance of a pixel that is believed in, in units of the noise's own.
LEAST_VARIANCE = 0.008
PROBES = 32


class LinearPosterior(PixelPosterior[ErrorEstimate]):
    """Of pictures ``[N, 3, H, W]`` in [-1, 1] that one measurement by a linear operator is about."""

    def __init__(self, measurement: Measurement, operator: LinearOperator) -> None:
        self._measurement, self._operator = measurement, operator
        self.noise_variance = max(measurement.noise_floor / measurement.count, 1e-12)
        self._squared_norm = 0.0

    def error(self, x0: torch.Tensor, by_band: bool = True) -> ErrorEstimate:  # noqa: ARG002 - one variance for all
        excess = self._measurement.residual(x0) - self._measurement.noise_floor
        self._squared_norm = self._squared_norm or self._norm_on(x0)
        return ErrorEstimate((excess / self._squared_norm).clamp_min(LEAST_VARIANCE * self.noise_variance))

    def mean(
        self,
        x0: torch.Tensor,
        error: ErrorEstimate,  # noqa: ARG002 - the variance says it all
        variance: torch.Tensor,
        iterations: int,  # noqa: ARG002 - solved to the end
        start: torch.Tensor | None = None,  # noqa: ARG002 - there is one solution
        momentum: bool = True,  # noqa: ARG002
    ) -> torch.Tensor:
        weight = variance.flatten(1).mean(1) / self.noise_variance
        y, mask = self._measurement.y.to(x0), self._measurement.mask
        x = self._operator.prox(x0, y, per_row(weight, x0).flatten(), None if mask is None else mask.to(x0))
        return x.clamp(-1, 1)

    def _norm_on(self, x0: torch.Tensor) -> float:
        """The squared Frobenius norm of A, over the valid pixels, for images like ``x0``."""
        signs = torch.randint(0, 2, (PROBES, *x0.shape[1:]), generator=torch.Generator().manual_seed(0))
        seen = self._operator((2.0 * signs - 1).to(x0))
        seen = seen if self._measurement.mask is None else seen * self._measurement.mask.to(x0)
        return max(float(seen.square().sum()) / PROBES, 1e-12)
