"""The noise models by their names. One more is a file beside this one and a place in this list."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ...diffusion.options import Option
from .gaussian import GaussianNoise
from .model import NoiseModel
from .poisson import PoissonNoise

__all__ = ["NOISE", "NOISE_MODELS", "noise_model"]

NOISE_MODELS: Mapping[str, type[NoiseModel]] = MappingProxyType(
    {each.name: each for each in (GaussianNoise, PoissonNoise)}
)
#: The choice among them. Graphs of the first release have no value for it.
NOISE = Option(
    "noise",
    GaussianNoise.name,
    " ".join(f"{name}: {each.summary}" for name, each in NOISE_MODELS.items()),
    choices=tuple(NOISE_MODELS),
    advanced=True,
    added_later=True,
)


def noise_model(values: Mapping[str, Any]) -> NoiseModel:
    """The inverse of :meth:`NoiseModel.to_dict`; names that are not the model's own are left alone.

    Raises:
        ValueError: there is no such model, or a value that it does not allow.
    """
    NOISE.check(values["noise"])
    chosen = NOISE_MODELS[values["noise"]]
    return chosen.from_dict({each.name: values[each.name] for each in chosen.options() if each.name in values})
