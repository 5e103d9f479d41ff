r"""From a spacing to the sigmas of a model: in which units a schedule is defined, and how it meets a model's own.

* In VE units, sigma/alpha, a step means the same on every model. A flow model's pure noise is infinite there: spacings
  that must begin at a number take :data:`PURE_NOISE` for it, and give their first level back as the model's sigma 1.
* In the model's own units: what follows a flow's path from sigma 1.
* On the table of the levels that a network was trained on.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..diffusion.options import Option
from ..diffusion.parameterization import Parameterization

__all__ = ["SIGMA_MAX", "SIGMA_MIN", "ModelLevels", "Placing", "in_model_units", "in_ve_units", "on_training_levels"]

#: EDM's sigma_max (arXiv 2206.00364): with 80 times more noise than signal, a denoiser knows the data's mean at best.
PURE_NOISE = 80.0

SIGMA_MAX = Option(
    "sigma_max",
    0.0,
    "First level, in the model's own units. 0: the model's largest.",
    minimum=0.0,
    maximum=10_000.0,
    step=0.01,
    advanced=True,
    added_later=True,
)
SIGMA_MIN = Option(
    "sigma_min",
    0.0,
    "Last level above 0, in the model's own units. 0: the model's smallest. linear_quadratic has none.",
    minimum=0.0,
    maximum=10_000.0,
    step=0.001,
    advanced=True,
    added_later=True,
)


@dataclass(frozen=True)
class ModelLevels:
    """The noise levels that a model knows, in its own units.

    parameterization: how they relate to VE noise levels.
    sigma_min, sigma_max: the range of a schedule.
    training_levels: those that the network was trained on, rising, ``[T]``; None where the model does not tell.
    """

    parameterization: Parameterization
    sigma_min: float
    sigma_max: float
    training_levels: torch.Tensor | None = None

    def within(self, sigma_min: float = 0.0, sigma_max: float = 0.0) -> ModelLevels:
        """The same with another range; 0 keeps an end as it is.

        Raises:
            ValueError: not 0 < sigma_min < sigma_max, or a level that a flow model does not have.
        """
        bottom, top = sigma_min or self.sigma_min, sigma_max or self.sigma_max
        limit = self.parameterization.sigma_limit
        if not 0 < bottom < top <= limit:
            upper = "" if math.isinf(limit) else " <= 1, for this is a flow model"
            raise ValueError(f"sigma_min is {bottom:g} and sigma_max {top:g}; choose 0 < sigma_min < sigma_max{upper}.")
        return replace(self, sigma_min=bottom, sigma_max=top)


#: ``placing(spacing, levels, n, **options) -> sigmas [n + 1]`` in the model's units.
Placing = Callable[..., torch.Tensor]


def in_ve_units(
    spacing: Callable[..., torch.Tensor],
    levels: ModelLevels,
    n: int,
    from_pure_noise: bool = False,
    **options: Any,
) -> torch.Tensor:
    """``spacing(n, sigma_min, sigma_max, **options)`` of VE levels, for a model.

    from_pure_noise: the spacing can begin at infinity.
    """
    to_ve, from_ve = levels.parameterization.sigma_ve, levels.parameterization.sigma_from_ve
    high = to_ve(levels.sigma_max)
    if math.isinf(high) and not from_pure_noise:
        high = PURE_NOISE
    sigmas = from_ve(spacing(n, to_ve(levels.sigma_min), high, **options))
    sigmas[0] = levels.sigma_max
    return sigmas


def in_model_units(spacing: Callable[..., torch.Tensor], levels: ModelLevels, n: int, **options: Any) -> torch.Tensor:
    """``spacing(n, sigma_max=..., **options)``, with ``sigma_min`` as well if it takes one."""
    if "sigma_min" in inspect.signature(spacing).parameters:
        options["sigma_min"] = levels.sigma_min
    return spacing(n, sigma_max=levels.sigma_max, **options)


def on_training_levels(
    spacing: Callable[..., torch.Tensor], levels: ModelLevels, n: int, **options: Any
) -> torch.Tensor:
    """``spacing(n, training_levels, **options)``, of those within the range.

    Raises:
        ValueError: the model does not tell them.
    """
    if levels.training_levels is None:
        raise ValueError("this schedule needs the model's training levels, and this model has none; choose another.")
    table = levels.training_levels.float().cpu()
    # The range is what the user asked for, or the table's own ends: compare with room for their rounding.
    within = (table >= levels.sigma_min * (1 - 1e-6)) & (table <= levels.sigma_max * (1 + 1e-6))
    return spacing(n, table[within], **options)
