"""Samplers: k-diffusion functions ``(model, x, sigmas, extra_args=None, callback=None, disable=None, ...)``.

Each family is a file that reads like its paper; ``steps.py`` and ``run.py`` are what they share, ``catalogue.py`` lists
them, and what it lists can be imported from here: ``from sampler_lab.samplers import sample_euler_cfg_pp``. LatentDAPS
is loaded on first use, because it brings the operators with it.
"""

from __future__ import annotations

from typing import Any

from .catalogue import CATALOGUE, SamplerEntry, entry

_FUNCTIONS = {each.function.__name__: each.function for each in CATALOGUE}

__all__ = ["CATALOGUE", "SamplerEntry", "entry", "sample_latent_daps", *_FUNCTIONS]


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        return _FUNCTIONS[name]
    if name == "sample_latent_daps":
        from .latent_daps import sample_latent_daps

        return sample_latent_daps
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
