r"""The posterior of pictures under a linear operator and Gaussian noise: the proximal step.

With a diagonal covariance S of the errors the mean of p(x | y) is

.. math:: \arg\min_x \tfrac{1}{2\sigma^2}\|A(x) - y\|^2 + \tfrac12 (x - x_0)^T S^{-1} (x - x_0),

``LinearOperator.prox`` with weight s²/sigma² where all variances are the same s², and otherwise the same in units of
their roots, :math:`x = x_0 + S^{1/2} d`, by conjugate gradients. The misfit of a picture whose pixels all have the
error s² is :math:`E\|A(x_0) - y\|^2 = m\sigma^2 + s^2 \|A\|_F^2`, from which s² follows; the squared norm is
:math:`E\|A(z)\|^2` of random signs z (Hutchinson's estimate).

Errors of a decoder are correlated, which matters where A sees few pixels; this is the simplest form that is right.
"""

from __future__ import annotations

import torch

from .conjugate_gradients import conjugate_gradients
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
        y, mask, variance = self._measurement.y.to(x0), self._measurement.mask, variance.to(x0)
        mask = None if mask is None else mask.to(x0)
        smallest, largest = variance.flatten(1).aminmax(dim=1)
        if bool((smallest < largest).any()):
            return self._scaled_prox(x0, y, variance, mask).clamp(-1, 1)
        return self._operator.prox(x0, y, largest / self.noise_variance, mask).clamp(-1, 1)

    def _scaled_prox(
        self, x0: torch.Tensor, y: torch.Tensor, variance: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """From x0 on: d solves (I + S^1/2 A*MA S^1/2 / sigma²) d = S^1/2 A*M (y - A(x0)) / sigma²."""
        root = variance.sqrt()

        def back(difference: torch.Tensor) -> torch.Tensor:
            seen = difference if mask is None else mask * difference
            return root * self._operator.adjoint(seen) / self.noise_variance

        b = back(y - self._operator(x0))
        return x0 + root * conjugate_gradients(lambda d: d + back(self._operator(root * d)), b, torch.zeros_like(x0))

    def _norm_on(self, x0: torch.Tensor) -> float:
        """The squared Frobenius norm of A, over the valid pixels, for images like ``x0``."""
        signs = torch.randint(0, 2, (PROBES, *x0.shape[1:]), generator=torch.Generator().manual_seed(0))
        seen = self._operator((2.0 * signs - 1).to(x0))
        seen = seen if self._measurement.mask is None else seen * self._measurement.mask.to(x0)
        return max(float(seen.square().sum()) / PROBES, 1e-12)
