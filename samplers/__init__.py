"""Samplers: k-diffusion functions ``(model, x, sigmas, extra_args=None, callback=None, disable=None, ...)``.

Each family is a file that reads like its paper; ``steps.py`` and ``run.py`` are what they share, ``catalogue.py`` lists
them. LatentDAPS is loaded on first use, because it brings the operators with it.
"""

from __future__ import annotations

from typing import Any

from .catalogue import CATALOGUE, Option, SamplerEntry, entry
from .dpmpp_2m import sample_dpmpp_2m, sample_dpmpp_2m_cfg_pp
from .dpmpp_2s import sample_dpmpp_2s_ancestral, sample_dpmpp_2s_ancestral_cfg_pp
from .er_sde import sample_er_sde, sample_er_sde_cfg_pp
from .euler import sample_euler, sample_euler_ancestral, sample_euler_ancestral_cfg_pp, sample_euler_cfg_pp
from .gradient_estimation import sample_gradient_estimation, sample_gradient_estimation_cfg_pp
from .res_multistep import (
    sample_res_multistep,
    sample_res_multistep_ancestral,
    sample_res_multistep_ancestral_cfg_pp,
    sample_res_multistep_cfg_pp,
)

__all__ = [
    "CATALOGUE",
    "Option",
    "SamplerEntry",
    "entry",
    "sample_dpmpp_2m",
    "sample_dpmpp_2m_cfg_pp",
    "sample_dpmpp_2s_ancestral",
    "sample_dpmpp_2s_ancestral_cfg_pp",
    "sample_er_sde",
    "sample_er_sde_cfg_pp",
    "sample_euler",
    "sample_euler_ancestral",
    "sample_euler_ancestral_cfg_pp",
    "sample_euler_cfg_pp",
    "sample_gradient_estimation",
    "sample_gradient_estimation_cfg_pp",
    "sample_latent_daps",
    "sample_res_multistep",
    "sample_res_multistep_ancestral",
    "sample_res_multistep_ancestral_cfg_pp",
    "sample_res_multistep_cfg_pp",
]


def __getattr__(name: str) -> Any:
    if name == "sample_latent_daps":
        from .latent_daps import sample_latent_daps

        return sample_latent_daps
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
