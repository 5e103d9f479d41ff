r"""What a noise model is, and the residual that the truth itself leaves: the noise floor :math:`E\|A(x) - y\|^2`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ...diffusion.options import Options

__all__ = ["NoiseModel"]


@dataclass(frozen=True)
class NoiseModel(Options, ABC):
    """How y scatters around the noiseless values a = A(x), every value by itself.

    A subclass is a frozen dataclass whose fields are options; prompts and files name them beside the operator's own.

    name: in prompts and files.
    summary: half a sentence after the name, for the list that people choose from.
    noise_sigma: its size: the standard deviation in y, or what is nearest to one.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    noise_sigma: float

    @property
    def never_negative(self) -> bool:
        """Whether no recorded value is below 0."""
        return False

    @abstractmethod
    def draw(self, values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """A noisy copy of ``values``, drawn on the generator's device."""

    @abstractmethod
    def negative_log_likelihood(self, y: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """-log p(y | a) for every recorded y and noiseless a: shaped like both together, differentiable in a.

        Raises:
            ValueError: there is no noise, so no density.
        """

    @abstractmethod
    def expected_square(self, values: torch.Tensor) -> torch.Tensor:
        """E(y - a)^2, the expected residual, for every noiseless value a, shaped like ``values``."""

    @abstractmethod
    def floor_from_data(self, y: torch.Tensor) -> float:
        """The sum of E(y - a)^2 over the pixels, estimated from y (any shape; valid pixels only)."""

    def of(self, quantity: str) -> NoiseModel:  # noqa: ARG002 - most are the same for both
        """This noise on values that are an ``amplitude`` or an ``intensity``, for models in which that matters."""
        return self

    def to_dict(self) -> dict[str, Any]:
        """Its name as ``noise``, and its options."""
        values = super().to_dict()
        return {"noise": self.name, **{each.name: values[each.name] for each in self.options()}}
