"""The forward operator A: from an image to what an instrument would record of it, without noise.

Everything that solves an inverse problem here is written against this class, so a new problem is a new subclass.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch

from .measurement import Measurement
from .symmetry import IDENTITY, Symmetry

__all__ = ["Operator", "check_image"]


class Operator(ABC):
    """y = A(x) + noise, with x an image ``[N, 3, H, W]`` in [-1, 1] and y real, ``[N, C, h, w]``.

    noise_sigma: standard deviation of the noise in y (a subclass says what it means for other noise models).
    shift_symmetric: shifting the object inside its frame leaves y unchanged.
    background: the image value that counts as "nothing there" when an object is shifted.
    """

    noise_sigma: float
    shift_symmetric: bool = False
    background: float = -1.0

    @property
    def symmetries(self) -> tuple[Symmetry, ...]:
        """Exact discrete symmetries of y on images, the identity first."""
        return (IDENTITY,)

    @abstractmethod
    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """A(x), noiseless and differentiable.

        Computed in float32, or in float64 when ``image`` is float64.
        """

    @abstractmethod
    def measurement_shape(self, image_shape: tuple[int, int]) -> tuple[int, int, int]:
        """(C, h, w) of y for an image of (H, W)."""

    @abstractmethod
    def image_shape(self, detector_shape: tuple[int, int]) -> tuple[int, int]:
        """(H, W) of the image whose y has (h, w); raises ``ValueError`` when there is none."""

    @abstractmethod
    def measure(self, image: torch.Tensor, seed: int) -> Measurement:
        """Simulate an experiment on one image: A(x) plus noise drawn from a generator seeded with ``seed``."""

    @abstractmethod
    def noise_floor(
        self, truth: torch.Tensor | None = None, *, y: torch.Tensor | None = None, mask: torch.Tensor | None = None
    ) -> float:
        """The expected ||A(truth) - y||² over the noise.

        From the ``truth`` (one image) where it is known, else estimated from ``y`` alone; give exactly one of the two.
        ``mask`` (1 = valid) leaves dead pixels out.
        """

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Name and settings, as plain values that JSON can hold."""


def check_image(image: torch.Tensor, name: str = "image") -> torch.Tensor:
    """``image`` as float32 (float64 stays), after checking that it is a finite real batch ``[N, C, H, W]``, N >= 1.

    Raises:
        ValueError: anything else, in one sentence.
    """
    if not isinstance(image, torch.Tensor):
        raise ValueError(f"{name} is a {type(image).__name__}; it must be a torch tensor [N, 3, H, W] in [-1, 1].")
    if image.ndim != 4:
        raise ValueError(f"{name} has shape {list(image.shape)}; it must be [N, 3, H, W].")
    if image.shape[1] not in (1, 3) or 0 in image.shape[2:]:
        raise ValueError(
            f"{name} has {image.shape[1]} channels of {image.shape[2]}×{image.shape[3]}; it must be [N, 3, H, W]."
        )
    if 0 in image.shape:
        raise ValueError(f"{name} is empty (shape {list(image.shape)}); give at least one image.")
    if image.is_complex():
        raise ValueError(f"{name} is complex; the object must be real, so pass its real part or its modulus.")
    if not image.is_floating_point():
        raise ValueError(f"{name} has dtype {image.dtype}; convert it to float in [-1, 1] (x / 127.5 - 1 for bytes).")
    return image if image.dtype == torch.float64 else image.float()
