"""What iterative projections share: random starts in the padded frame, an update per iteration, a stretch to settle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ...diffusion.observer import SILENT, Observer
from ..fourier import centred_fft2, centred_ifft2, crop, zero_pad
from ..measurement import Measurement
from .error_reduction import amplitudes, phase_retrieval_of, replace_amplitudes

__all__ = ["Frame", "Restarts", "Update", "restarted"]


@dataclass(frozen=True)
class Frame:
    """The padded frame of a measurement, and which objects are possible in it.

    inside: ``[C, h, w]``, true within the image. limits: the signal range.
    """

    inside: torch.Tensor
    limits: tuple[float, float]

    def allows(self, u: torch.Tensor) -> torch.Tensor:
        """Where frames ``[N, C, h, w]`` are inside the image and in range."""
        return self.inside & (u >= self.limits[0]) & (u <= self.limits[1])

    def project(self, u: torch.Tensor) -> torch.Tensor:
        """The nearest frame that is possible everywhere."""
        return torch.where(self.inside, u.clamp(*self.limits), torch.zeros_like(u))


#: (u, p, frame) -> the next u, where p is u with the measured amplitudes.
Update = Callable[[torch.Tensor, torch.Tensor, Frame], torch.Tensor]


@dataclass(frozen=True)
class Restarts:
    """How often and how long: ``iterations`` in all, of which the last ``settle`` are error reduction.

    Raises:
        ValueError: fewer than one restart or iteration, or settle outside the iterations.
    """

    restarts: int = 4
    iterations: int = 1000
    settle: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        if self.restarts < 1 or self.iterations < 1 or not 0 <= self.settle <= self.iterations:
            raise ValueError(
                f"restarts is {self.restarts}, iterations {self.iterations} and settle {self.settle}; "
                "restarts and iterations must be 1 or more and settle between 0 and iterations."
            )

    def starts(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Uniform in [0, 1), ``[restarts, *shape]``. Restart k starts the same however many there are."""
        seeds = [(self.seed * 1_000_003 + k) % 2**63 for k in range(self.restarts)]
        return torch.stack(
            [torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype) for seed in seeds]
        )


@torch.no_grad()
def restarted(measurement: Measurement, update: Update, plan: Restarts, observer: Observer = SILENT) -> torch.Tensor:
    """Independent reconstructions ``[restarts, 3, H, W]`` in [-1, 1].

    Args:
        observer: asked before each iteration whether to go on.
    """
    operator = phase_retrieval_of(measurement)
    y, mask = amplitudes(measurement).clamp_min(0), measurement.mask
    low, high = (0.0, 1.0) if operator.signal_range == "0..1" else (-1.0, 1.0)
    shape, size = (y.shape[1], *measurement.image_shape), (y.shape[-2], y.shape[-1])
    frame = Frame(zero_pad(torch.ones(shape, dtype=torch.bool, device=y.device), size), (low, high))
    u = zero_pad(low + (high - low) * plan.starts(shape, y.dtype).to(y.device), size)
    for i in range(plan.iterations):
        observer.raise_if_cancelled()
        p = centred_ifft2(replace_amplitudes(centred_fft2(u), y, mask)).real
        u = update(u, p, frame) if i < plan.iterations - plan.settle else frame.project(p)
    return operator.image(crop(u, measurement.image_shape).clamp(low, high)).contiguous()
