"""A camera without colours: the simplest operator that records something else than the image."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..diffusion.tensors import per_row
from .images import check_image
from .linear import LinearOperator

__all__ = ["Grey"]


@dataclass(frozen=True)
class Grey(LinearOperator):
    """The mean of the three channels, pixel by pixel: brightness is recorded, and colours come from the model alone.

    >>> red = torch.tensor([1.0, -1.0, -1.0])[None, :, None, None].expand(1, 3, 4, 4)
    >>> round(Grey()(red)[0, 0, 0, 0].item(), 4)
    -0.3333
    """

    name = "grey"

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        return check_image(image).mean(1, keepdim=True)

    def measurement_shape(self, image_shape: tuple[int, int]) -> tuple[int, int, int]:
        return (1, *image_shape)

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        return (y / 3).expand(-1, 3, -1, -1)

    def prox(
        self, x: torch.Tensor, y: torch.Tensor, weight: float | torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """In closed form: A A* is 1/3 at every pixel, so each one's brightness moves by itself."""
        w = per_row(weight, x) if isinstance(weight, torch.Tensor) and weight.ndim else weight
        w = w if mask is None else w * mask
        return x + self.adjoint(w / (1 + w / 3) * (y - self(x)))
