r"""A measurement: what was recorded, by which operator, which of its pixels count, and how well the truth would fit."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, Protocol

import torch

from ..diffusion.fingerprint import tensor_sha256
from ..diffusion.sentence import Sentence
from .noise import NoiseModel
from .recording import ReadOptions
from .symmetry import Symmetry

__all__ = ["ForwardModel", "Measurement"]


class ForwardModel(Protocol):
    """``Operator``, as far as a measurement and those who are given one need it; it says what each of these is."""

    @property
    def noise(self) -> NoiseModel: ...

    @property
    def quantity(self) -> str: ...

    @property
    def symmetries(self) -> tuple[Symmetry, ...]: ...

    @property
    def shift_symmetric(self) -> bool: ...

    @property
    def background(self) -> float: ...

    def __call__(self, image: torch.Tensor) -> torch.Tensor: ...

    def measurement_shape(self, image_shape: tuple[int, int]) -> tuple[int, int, int]: ...

    def image_shape(self, detector_shape: tuple[int, int]) -> tuple[int, int]: ...

    def noise_floor(
        self, truth: torch.Tensor | None = None, *, y: torch.Tensor | None = None, mask: torch.Tensor | None = None
    ) -> float: ...

    def caution(self, image_shape: tuple[int, int]) -> Sentence | None: ...

    def shade(self, y: torch.Tensor, decades: float) -> torch.Tensor: ...

    def from_recording(self, y: torch.Tensor, mask: torch.Tensor | None, options: ReadOptions) -> Measurement: ...

    def to_dict(self) -> dict[str, Any]: ...


@dataclass(frozen=True, eq=False)
class Measurement:
    """One recording y, shared by all particles.

    Args:
        y: ``[1, C, h, w]``, real; stored as float32 (float64 stays).
        operator: the A of which it is a noisy value.
        mask: 1 = valid, 0 = dead pixel; ``[1, C, h, w]`` or anything that broadcasts to it; None when all are valid.
        image_shape: (H, W) of the image; None asks the operator which one belongs to (h, w).
        noise_floor: the residual expected of the truth; None estimates it from ``y`` alone.

    Raises:
        ValueError: y or mask of a wrong shape or kind, no valid pixel, NaN or infinity at a valid pixel, an image_shape
            or a noise_floor that is none.

    Values at dead pixels are set to 0, so whatever a detector writes there (NaN, -1) does no harm. Tensors made under
    ``torch.inference_mode`` (ComfyUI runs nodes under it) are copied to ordinary ones, so that gradients can pass.
    """

    y: torch.Tensor
    operator: ForwardModel
    mask: torch.Tensor | None = None
    image_shape: tuple[int, int] = None  # type: ignore[assignment]  # never None once it is made
    noise_floor: float = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        y = _real(self.y)
        mask = None if self.mask is None else _valid_pixels(self.mask, y)
        wrong = ~torch.isfinite(y) if mask is None else ~torch.isfinite(y) & (mask > 0)
        if bool(wrong.any()):
            raise ValueError(
                f"the measurement holds {int(wrong.sum())} NaN or infinite values at valid pixels; "
                "mark them as dead in the mask."
            )
        if mask is not None:
            y = torch.where(mask > 0, y, torch.zeros_like(y))
        given: tuple[int, int] | None = self.image_shape
        image_shape = self.operator.image_shape((y.shape[-2], y.shape[-1])) if given is None else _size(given)
        expected = self.operator.measurement_shape(image_shape)
        if tuple(y.shape[1:]) != expected:
            raise ValueError(
                f"the measurement has shape {list(y.shape[1:])}, but the operator makes {list(expected)} of an image "
                f"of {image_shape[0]}×{image_shape[1]}; check the operator's settings and the image's size."
            )
        object.__setattr__(self, "y", _outside_inference(y))
        object.__setattr__(self, "mask", None if mask is None else _outside_inference(mask))
        object.__setattr__(self, "image_shape", image_shape)
        if self.noise_floor is None:
            object.__setattr__(self, "noise_floor", self.operator.noise_floor(y=self.y, mask=self.mask))
        if not (isinstance(self.noise_floor, Real) and 0 <= self.noise_floor < math.inf):
            raise ValueError(f"noise_floor is {self.noise_floor!r}; it must be a finite number, 0 or more.")

    @property
    def count(self) -> int:
        """m, the number of valid measured values."""
        return self.y.numel() if self.mask is None else int(self.mask.sum().item())

    def residual(self, image: torch.Tensor) -> torch.Tensor:
        """||A(x) - y||² over the valid pixels, ``[N]``, differentiable; ``image`` is ``[N, 3, H, W]`` in [-1, 1]."""
        self._check_size(image)
        difference = self.operator(image) - self.y.to(image.device)
        if self.mask is not None:
            difference = difference * self.mask.to(image.device)
        return difference.square().flatten(1).sum(1)

    def negative_log_likelihood(self, image: torch.Tensor) -> torch.Tensor:
        """-log p(y | x) under the operator's noise model, over the valid pixels, ``[N]``, differentiable.

        Raises:
            ValueError: an image of another size, or an operator without noise.
        """
        self._check_size(image)
        surprise = self.operator.noise.negative_log_likelihood(self.y.to(image.device), self.operator(image))
        if self.mask is not None:
            surprise = torch.where(self.mask.to(image.device) > 0, surprise, torch.zeros_like(surprise))
        return surprise.flatten(1).sum(1)

    def describe(self) -> dict[str, Any]:
        """For a record: the number of valid values m, the noise floor, the operator's settings, the data's sha256."""
        return {
            "values": self.count,
            "noise_floor": self.noise_floor,
            "operator": self.operator.to_dict(),
            "sha256": tensor_sha256(self.y, self.mask),
        }

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Measurement:
        """The same measurement on another device and, if ``dtype`` is float32 or float64, in another precision."""
        mask = None if self.mask is None else self.mask.to(device, dtype)
        return replace(self, y=self.y.to(device, dtype), mask=mask)

    def _check_size(self, image: torch.Tensor) -> None:
        if image.ndim != 4 or tuple(image.shape[-2:]) != self.image_shape:
            height, width = self.image_shape
            raise ValueError(
                f"the image has shape {list(image.shape)}, but the measurement is of an image of {height}×{width}; "
                f"use a latent that decodes to width {width} and height {height}."
            )


def _real(y: torch.Tensor) -> torch.Tensor:
    """``y`` as a real floating tensor ``[1, C, h, w]``, or a ``ValueError``."""
    if not isinstance(y, torch.Tensor):
        raise ValueError(f"the measurement is a {type(y).__name__}; it must be a torch tensor [1, C, h, w].")
    if y.is_complex():
        raise ValueError("the measurement is complex; pass its modulus: a detector records amplitudes or intensities.")
    if y.dtype == torch.bool:
        raise ValueError("the measurement is boolean; pass the recorded values (and the mask as the mask).")
    if y.ndim != 4 or y.shape[0] != 1 or 0 in y.shape:
        raise ValueError(f"the measurement has shape {list(y.shape)}; it must be [1, C, h, w] and not empty.")
    return y if y.dtype == torch.float64 else y.float()


def _size(image_shape: tuple[int, int]) -> tuple[int, int]:
    """``image_shape`` as a tuple, or a ``ValueError``."""
    size = tuple(image_shape)
    if len(size) != 2 or not all(isinstance(n, Integral) and n >= 1 for n in size):
        raise ValueError(f"image_shape is {size}; it must be (rows, columns), each a whole number of 1 or more.")
    return size


def _valid_pixels(mask: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """``mask`` as zeros and ones in the shape and type of ``y``, or a ``ValueError``."""
    if mask.is_complex():
        raise ValueError("the mask is complex; it must hold 1 at valid pixels and 0 at dead ones.")
    if not mask.dtype.is_signed:
        mask = mask != 0  # the only comparison that torch has for uint16 to uint64
    if bool(torch.isnan(mask).any()):
        raise ValueError("the mask holds NaN; it must hold 1 at valid pixels and 0 at dead ones.")
    try:
        mask = torch.broadcast_to(mask, y.shape)
    except RuntimeError:
        raise ValueError(
            f"the mask has shape {list(mask.shape)}, which does not fit a measurement of {list(y.shape)}."
        ) from None
    mask = (mask > 0).to(y)
    if not bool(mask.any()):
        raise ValueError("the mask marks every pixel as dead; 1 (or true) must mean valid.")
    return mask


def _outside_inference(tensor: torch.Tensor) -> torch.Tensor:
    if not tensor.is_inference():
        return tensor
    with torch.inference_mode(False):
        return tensor.clone()
