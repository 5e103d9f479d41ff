"""The catalogue: one entry per sampler, from which nodes, dropdowns, help and tests are made.

To add a sampler, write its file and add its entry here. LatentDAPS is not listed: it needs a measurement, so it is no
sampler that a KSampler could offer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..diffusion.options import Option
from .convention import Sampler
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

__all__ = ["CATALOGUE", "SamplerEntry", "entry"]

CFG_PP = "arXiv 2406.08070"
NO_NOISE = {"eta": 0.0}


@dataclass(frozen=True)
class SamplerEntry:
    """What a sampler is; its name, its options and whether it is a CFG++ form are read off the function.

    order: of convergence of a whole run in the number of steps, without noise and with D = u, where CFG++ has an ODE to
        converge to; measured by ``tests/samplers/test_orders.py``.
    reference: where the formula comes from.
    model_calls_per_step: calls of the denoiser; the last step of a run may take fewer.
    noiseless: options with which a stochastic sampler solves the ODE.
    """

    function: Sampler
    order: int
    reference: str
    stochastic: bool = False
    model_calls_per_step: int = 1
    noiseless: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Unique; that of the function, without ``sample_``."""
        return self.function.__name__.removeprefix("sample_")

    @property
    def dropdown_name(self) -> str:
        """The name in the host's sampler lists."""
        return f"lab_{self.name}"

    @property
    def cfg_pp(self) -> bool:
        """Whether it needs the unconditional prediction."""
        return self.name.endswith("_cfg_pp")

    @property
    def family(self) -> str:
        """What a sampler and its CFG++ form have in common: the name of the plain one, if there is one or not."""
        return self.name.removesuffix("_cfg_pp")

    @property
    def options(self) -> tuple[Option, ...]:
        """What can be set that a KSampler cannot set."""
        return self.function.options


def _pair(plain: Sampler, with_cfg_pp: Sampler, order: int, reference: str, **more: Any) -> list[SamplerEntry]:
    """The entry of a sampler and the one of its CFG++ form."""
    first = SamplerEntry(plain, order, reference, **more)
    return [first, replace(first, function=with_cfg_pp, reference=f"{reference}, {CFG_PP}")]


CATALOGUE: tuple[SamplerEntry, ...] = (
    *_pair(sample_euler, sample_euler_cfg_pp, 1, "arXiv 2010.02502"),
    *_pair(
        sample_euler_ancestral, sample_euler_ancestral_cfg_pp, 1, "arXiv 2006.11239",
        stochastic=True, noiseless=NO_NOISE,
    ),
    *_pair(sample_gradient_estimation, sample_gradient_estimation_cfg_pp, 1, "arXiv 2306.04848"),
    *_pair(sample_dpmpp_2m, sample_dpmpp_2m_cfg_pp, 2, "arXiv 2211.01095"),
    *_pair(
        sample_dpmpp_2s_ancestral, sample_dpmpp_2s_ancestral_cfg_pp, 2, "arXiv 2211.01095",
        stochastic=True, model_calls_per_step=2, noiseless=NO_NOISE,
    ),
    *_pair(sample_res_multistep, sample_res_multistep_cfg_pp, 2, "arXiv 2308.02157"),
    *_pair(
        sample_res_multistep_ancestral, sample_res_multistep_ancestral_cfg_pp, 2, "arXiv 2308.02157",
        stochastic=True, noiseless=NO_NOISE,
    ),
    *_pair(
        sample_er_sde, sample_er_sde_cfg_pp, 2, "arXiv 2309.06169", stochastic=True, noiseless={"solver_type": "ode"}
    ),
)  # fmt: skip


def entry(name: str) -> SamplerEntry:
    """The entry of this name, with or without ``lab_``.

    Raises:
        ValueError: no such sampler; the sentence lists them.
    """
    for candidate in CATALOGUE:
        if name in (candidate.name, candidate.dropdown_name):
            return candidate
    raise ValueError(f"no sampler is called {name!r}; choose one of {', '.join(e.name for e in CATALOGUE)}.")
