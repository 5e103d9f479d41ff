"""Which posterior of pictures belongs to which operator. To add one, write its file and list it here."""

from __future__ import annotations

from typing import Any

from ..diffusion.observer import SILENT, Observer
from .linear import LinearOperator
from .linear_posterior import LinearPosterior
from .measurement import Measurement
from .phase_retrieval import PhaseRetrieval
from .phaseless_posterior import PhaselessPosterior
from .pixel_posterior import PixelPosterior

__all__ = ["pixel_posterior"]


def pixel_posterior(measurement: Measurement, observer: Observer = SILENT) -> PixelPosterior[Any]:
    """The posterior of pictures that this measurement leaves; ``observer`` may cancel its iterations.

    Raises:
        ValueError: an operator that has none.
    """
    operator = measurement.operator
    if isinstance(operator, PhaseRetrieval):
        return PhaselessPosterior(measurement, observer)
    if isinstance(operator, LinearOperator):
        return LinearPosterior(measurement, operator)
    raise ValueError(
        f"{type(operator).__name__} has no posterior of pictures yet; use a chain instead (Langevin or HMC Data Step)."
    )
