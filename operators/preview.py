"""A measurement as a picture. The operator chooses among the scales here (:meth:`Operator.shade`)."""

from __future__ import annotations

import torch

from .measurement import Measurement

__all__ = ["linear_shade", "log_shade", "preview"]

DEAD_PIXEL = (1.0, 0.0, 1.0)  # magenta


def preview(measurement: Measurement, decades: float = 3.0) -> torch.Tensor:
    """``[1, 3, h, w]`` in [0, 1], dead pixels in a colour that no grey recording has.

    Args:
        decades: of a logarithmic scale, how many powers of ten below the largest value black is.
    """
    shade = measurement.operator.shade(measurement.y.detach(), decades)
    picture = shade if shade.shape[1] == 3 else shade.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    if measurement.mask is not None:
        dead = (measurement.mask == 0).any(1, keepdim=True)
        picture = torch.where(dead, picture.new_tensor(DEAD_PIXEL)[None, :, None, None], picture)
    return picture.clone()


def linear_shade(values: torch.Tensor) -> torch.Tensor:
    """Black for the lowest of ``values``, white for the highest."""
    lowest, highest = values.min(), values.max()
    return (values - lowest) / (highest - lowest) if highest > lowest else torch.zeros_like(values)


def log_shade(amplitude: torch.Tensor, decades: float) -> torch.Tensor:
    r""":math:`\log_{10}` of amplitudes: white for the largest, black ``decades`` powers of ten below it and at 0."""
    largest = amplitude.max()
    if largest > 0:
        # log10 of 0 is minus infinity, which the clamp turns into black.
        return (1 + torch.log10(amplitude / largest) / decades).clamp(0, 1)
    return torch.zeros_like(amplitude)
