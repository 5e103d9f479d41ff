"""The catalogue: one entry per sampler, from which nodes, help and tests are made.

To add a sampler, write its file and add its entry here. LatentDAPS is not listed: it needs a measurement, so it is no
sampler that a KSampler could offer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .comfyui_exact import FORMS
from .convention import Sampler
from .dpmpp_2m import HIGHER_ORDER_TERMS, SOLVER_TYPES, sample_dpmpp_2m, sample_dpmpp_2m_cfg_pp
from .dpmpp_2s import sample_dpmpp_2s_ancestral, sample_dpmpp_2s_ancestral_cfg_pp
from .er_sde import SOLVER_TYPES as ER_SDE_SOLVER_TYPES
from .er_sde import sample_er_sde, sample_er_sde_cfg_pp
from .euler import sample_euler, sample_euler_ancestral, sample_euler_ancestral_cfg_pp, sample_euler_cfg_pp
from .gradient_estimation import sample_gradient_estimation, sample_gradient_estimation_cfg_pp
from .res_multistep import (
    sample_res_multistep,
    sample_res_multistep_ancestral,
    sample_res_multistep_ancestral_cfg_pp,
    sample_res_multistep_cfg_pp,
)

__all__ = ["CATALOGUE", "Option", "SamplerEntry", "entry"]


@dataclass(frozen=True)
class Option:
    """One keyword of a sampler that a KSampler cannot set; a number with a range, or a choice.

    The default's type (int, float, str) says which input a node gives it.

    added_later: graphs saved before the option was there have no value for it; they run with the default.
    """

    name: str
    default: float | int | str
    tooltip: str
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    added_later: bool = False


@dataclass(frozen=True)
class SamplerEntry:
    """What a sampler is.

    name: unique; the host's dropdowns show ``lab_<name>``.
    order: of convergence of a whole run in the number of steps, without noise and with D = u, where CFG++ has an ODE to
        converge to; measured by ``tests/samplers/test_orders.py``.
    model_calls_per_step: calls of the denoiser; the last step of a run may take fewer.
    reference: where the formula comes from.
    noiseless: options with which a stochastic sampler solves the ODE.
    """

    name: str
    function: Sampler
    family: str
    order: int
    reference: str
    stochastic: bool = False
    model_calls_per_step: int = 1
    cfg_pp: bool = False
    options: tuple[Option, ...] = ()
    noiseless: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def dropdown_name(self) -> str:
        """The name in the host's sampler lists."""
        return f"lab_{self.name}"


FORM = Option(
    "form",
    "auto",
    "auto: right on every model. comfyui: ComfyUI's own numbers, to repeat old pictures. core: the same, its old name.",
    choices=FORMS,
)
FORM_LATER = replace(FORM, added_later=True)
ETA = Option("eta", 1.0, "How much of each step is fresh noise. 0 makes the sampler deterministic.", 0.0, 100.0, 0.01)
S_NOISE = Option("s_noise", 1.0, "Multiplies the fresh noise.", 0.0, 100.0, 0.01)
GE_GAMMA = Option(
    "ge_gamma",
    2.0,
    "How far the newest direction is trusted over the last one: 1 is Euler, 2 is published, 1.5 converges fastest.",
    minimum=-2.0,
    maximum=5.0,
    step=0.01,
)
SOLVER_TYPE = Option(
    "solver_type", "midpoint", "How the slope between two predictions is weighted.", choices=SOLVER_TYPES
)
HIGHER_ORDER_TERM = Option(
    "higher_order_term",
    "guided",
    "What the slope is taken of: guided (published, ComfyUI's) or unconditional (the same prediction twice).",
    choices=HIGHER_ORDER_TERMS,
)
ER_SOLVER_TYPE = Option(
    "solver_type",
    "er_sde",
    "Which process: er_sde (published), reverse_sde (with eta), ode (no noise).",
    choices=ER_SDE_SOLVER_TYPES,
)
ER_ETA = Option("eta", 1.0, "Noise of reverse_sde; 0 is the ODE. The other processes ignore it.", 0.0, 100.0, 0.01)
MAX_STAGE = Option("max_stage", 3, "How many predictions a step uses.", 1, 3, 1)

CFG_PP = "arXiv 2406.08070"
NO_NOISE = {"eta": 0.0}


def _pair(
    name: str, plain: Sampler, with_cfg_pp: Sampler, order: int, reference: str, **more: Any
) -> list[SamplerEntry]:
    """The entry of a sampler and the one of its CFG++ form; ``cfg_pp_options`` where that form has other options."""
    cfg_pp_options = more.pop("cfg_pp_options", more.get("options", ()))
    return [
        SamplerEntry(name, plain, name, order, reference=reference, **more),
        SamplerEntry(
            f"{name}_cfg_pp", with_cfg_pp, name, order, cfg_pp=True,
            reference=f"{reference}, {CFG_PP}", **{**more, "options": cfg_pp_options},
        ),
    ]  # fmt: skip


CATALOGUE: tuple[SamplerEntry, ...] = (
    *_pair("euler", sample_euler, sample_euler_cfg_pp, 1, "arXiv 2010.02502"),
    *_pair(
        "euler_ancestral", sample_euler_ancestral, sample_euler_ancestral_cfg_pp, 1, "arXiv 2006.11239",
        stochastic=True, options=(ETA, S_NOISE), noiseless=NO_NOISE,
    ),
    *_pair(
        "gradient_estimation", sample_gradient_estimation, sample_gradient_estimation_cfg_pp, 1, "arXiv 2306.04848",
        options=(GE_GAMMA, FORM),
    ),
    *_pair(
        "dpmpp_2m", sample_dpmpp_2m, sample_dpmpp_2m_cfg_pp, 2, "arXiv 2211.01095",
        options=(SOLVER_TYPE, FORM), cfg_pp_options=(SOLVER_TYPE, HIGHER_ORDER_TERM, FORM),
    ),
    *_pair(
        "dpmpp_2s_ancestral", sample_dpmpp_2s_ancestral, sample_dpmpp_2s_ancestral_cfg_pp, 2, "arXiv 2211.01095",
        stochastic=True, model_calls_per_step=2, options=(ETA, S_NOISE), noiseless=NO_NOISE,
    ),
    *_pair(
        "res_multistep", sample_res_multistep, sample_res_multistep_cfg_pp, 2, "arXiv 2308.02157", options=(FORM,)
    ),
    *_pair(
        "res_multistep_ancestral", sample_res_multistep_ancestral, sample_res_multistep_ancestral_cfg_pp, 2,
        "arXiv 2308.02157", stochastic=True, options=(ETA, S_NOISE, FORM_LATER), noiseless=NO_NOISE,
    ),
    *_pair(
        "er_sde", sample_er_sde, sample_er_sde_cfg_pp, 2, "arXiv 2309.06169",
        stochastic=True, options=(ER_SOLVER_TYPE, MAX_STAGE, ER_ETA, S_NOISE), noiseless={"solver_type": "ode"},
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
