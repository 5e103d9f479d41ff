r"""A measurement as a picture: :math:`\log_{10}` of the amplitudes, dead pixels in a colour no pattern has."""

from __future__ import annotations

import torch

from .measurement import Measurement

__all__ = ["log_amplitude"]

DEAD_PIXEL = (1.0, 0.0, 1.0)  # magenta


def log_amplitude(measurement: Measurement, decades: float = 3.0) -> torch.Tensor:
    """``[1, 3, h, w]`` in [0, 1]: white at the largest amplitude, black ``decades`` powers of ten below it and at 0.

    A grey recording gives a grey picture; a recording of intensities is shown by its amplitudes.
    """
    y = measurement.y.detach().clamp_min(0)
    amplitude = y.sqrt() if getattr(measurement.operator, "kind", "amplitude") == "intensity" else y
    largest = amplitude.max()
    if largest > 0:
        # log10 of 0 is minus infinity, which the clamp turns into black.
        shade = (1 + torch.log10(amplitude / largest) / decades).clamp(0, 1)
    else:
        shade = torch.zeros_like(amplitude)
    picture = shade if shade.shape[1] == 3 else shade.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    if measurement.mask is not None:
        dead = (measurement.mask == 0).any(1, keepdim=True)
        picture = torch.where(dead, picture.new_tensor(DEAD_PIXEL)[None, :, None, None], picture)
    return picture.clone()
