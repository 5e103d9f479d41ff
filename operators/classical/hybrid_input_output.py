r"""Hybrid input–output (Fienup, Applied Optics 21, 1982): phase retrieval without any model of images.

With p the current frame after its amplitudes were replaced by the measured ones, each pixel of the padded frame becomes

.. math:: u' = p \ \text{where p is allowed}, \qquad u' = u - \beta p \ \text{elsewhere};

allowed means inside the image and within the signal range. The feedback term walks out of the local minima in which
error reduction stops. A last stretch of error reduction lets it settle. The baseline that a sampler has to beat.
"""

from __future__ import annotations

import torch

from ...diffusion.observer import SILENT, Observer
from ..measurement import Measurement
from .error_reduction import phase_retrieval_of
from .restarts import Frame, Restarts, restarted

__all__ = ["best_channels", "hybrid_input_output"]


def hybrid_input_output(
    measurement: Measurement,
    restarts: int = 4,
    iterations: int = 1000,
    settle: int = 50,
    beta: float = 0.9,
    seed: int = 0,
    observer: Observer = SILENT,
) -> torch.Tensor:
    """``restarts`` independent reconstructions, images ``[restarts, 3, H, W]`` in [-1, 1].

    Args:
        iterations: in all; the last ``settle`` of them are error reduction.
        beta: strength of the feedback; 0.9 is usual.
        seed: of the random starts. Restart k starts the same however many there are.
        observer: asked before each iteration whether to go on.
    """

    def update(u: torch.Tensor, p: torch.Tensor, frame: Frame) -> torch.Tensor:
        return torch.where(frame.allows(p), p, u - beta * p)

    return restarted(measurement, update, Restarts(restarts, iterations, settle, seed), observer)


@torch.no_grad()
def best_channels(images: torch.Tensor, measurement: Measurement) -> torch.Tensor:
    """One image ``[1, 3, H, W]`` from restarts ``[R, 3, H, W]``, without knowing the truth.

    Where channels are measured separately they are separate problems: take each channel's best restart by residual,
    then turn the second and third by 180° if that makes them resemble the first more.
    """
    operator = phase_retrieval_of(measurement)
    difference = operator(images) - measurement.y
    if measurement.mask is not None:
        difference = difference * measurement.mask
    best = difference.square().sum((-2, -1)).argmin(0)
    if operator.channels == "mean":
        return images[best[:1]]
    chosen = [images[int(k), c] for c, k in enumerate(best)]
    first = chosen[0] - chosen[0].mean()
    aligned = [chosen[0]]
    for channel in chosen[1:]:
        turned = channel.flip((-2, -1))
        aligned.append(turned if (first * turned).sum() > (first * channel).sum() else channel)
    return torch.stack(aligned)[None]
