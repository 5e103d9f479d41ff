r"""Relaxed averaged alternating reflections (Luke, Inverse Problems 21, 2005): phase retrieval without an image model.

With :math:`P_M` the frame with its amplitudes replaced by the measured ones, :math:`P_S` the nearest possible frame and
:math:`R = 2P - 1` the reflections,

.. math:: u' = \tfrac\beta2 (R_S R_M u + u) + (1 - \beta) P_M u .

:math:`\beta` = 1 is the difference map of Douglas and Rachford, which walks for ever where noise leaves no solution; a
smaller one stays near to the best there is. A last stretch of error reduction lets it settle.
"""

from __future__ import annotations

import torch

from ...diffusion.observer import SILENT, Observer
from ..measurement import Measurement
from .restarts import Frame, Restarts, restarted

__all__ = ["relaxed_reflections"]


def relaxed_reflections(
    measurement: Measurement,
    restarts: int = 4,
    iterations: int = 1000,
    settle: int = 50,
    beta: float = 0.87,
    seed: int = 0,
    observer: Observer = SILENT,
) -> torch.Tensor:
    """``restarts`` independent reconstructions, images ``[restarts, 3, H, W]`` in [-1, 1].

    Args:
        iterations: in all; the last ``settle`` of them are error reduction.
        beta: relaxation, in (0, 1]; 0.75 to 0.99 are usual.
        seed: of the random starts, which are those of ``hybrid_input_output``.
        observer: asked before each iteration whether to go on.
    """

    def update(u: torch.Tensor, p: torch.Tensor, frame: Frame) -> torch.Tensor:
        reflected = 2 * p - u
        return beta / 2 * (2 * frame.project(reflected) - reflected + u) + (1 - beta) * p

    return restarted(measurement, update, Restarts(restarts, iterations, settle, seed), observer)
