r"""Error reduction, the classical step of phase retrieval (Gerchberg & Saxton 1972; Fienup 1982).

Keep the phases, replace the amplitudes by the measured ones, go back, cut to the frame:

.. math:: ER(u) = \mathrm{crop}\,F^{-1}\!\left(y\,\frac{F(\mathrm{pad}\,u)}{|F(\mathrm{pad}\,u)|}\right).

Because the transform is orthonormal and cropping is the adjoint of padding, this *is* a gradient step:

.. math:: \nabla_u \|A(u) - y\|^2 = 2\,(u - ER(u)),

for any y, negative values and dead pixels (which keep the transform's own value) included. So error reduction never
raises the residual when y >= 0, and a data step needs no automatic differentiation.
"""

from __future__ import annotations

import torch

from ..fourier import centred_ifft2, crop
from ..measurement import Measurement
from ..phase_retrieval import PhaseRetrieval

__all__ = ["amplitudes", "error_reduction", "phase_retrieval_of", "replace_amplitudes"]


def error_reduction(u: torch.Tensor, measurement: Measurement) -> torch.Tensor:
    """ER(u) of objects ``[N, C, H, W]`` in the operator's signal range (``PhaseRetrieval.object`` of an image)."""
    operator = phase_retrieval_of(measurement)
    replaced = replace_amplitudes(operator.spectrum(u), amplitudes(measurement).to(u), _mask(measurement, u))
    return crop(centred_ifft2(replaced).real, (u.shape[-2], u.shape[-1]))


def replace_amplitudes(spectrum: torch.Tensor, y: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """``spectrum`` with the amplitudes ``y`` and its own phases; unchanged where ``mask`` is 0.

    A zero has no phase and stays zero: the gradient of |z| at 0, taken as 0, says the same.
    """
    replaced = y * torch.sgn(spectrum)
    return replaced if mask is None else torch.where(mask > 0, replaced, spectrum)


def amplitudes(measurement: Measurement) -> torch.Tensor:
    """The measured amplitudes ``[1, C, h, w]``, also where intensities were measured."""
    if phase_retrieval_of(measurement).quantity == "intensity":
        return measurement.y.clamp_min(0).sqrt()
    return measurement.y


def phase_retrieval_of(measurement: Measurement) -> PhaseRetrieval:
    """The measurement's operator, which must be phase retrieval: these methods are about nothing else."""
    if not isinstance(measurement.operator, PhaseRetrieval):
        raise ValueError(
            f"the measurement comes from {type(measurement.operator).__name__}; "
            "error reduction needs one from Phase Retrieval."
        )
    return measurement.operator


def _mask(measurement: Measurement, u: torch.Tensor) -> torch.Tensor | None:
    return None if measurement.mask is None else measurement.mask.to(u.device)
