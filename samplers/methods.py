"""Methods: settings of the posterior loop that work together, by name, with their source.

Every tau is the standard deviation in exp(-||A(x) - y||²/(2 tau²)). The official code of DAPS has no one-half there, so
its numbers stand here divided by sqrt(2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from ..posterior.data_steps.hmc import HMC
from ..posterior.data_steps.langevin import Langevin
from ..posterior.decoding import Decoding
from ..posterior.estimates.probability_flow import ProbabilityFlow
from ..posterior.method import Method

__all__ = ["METHODS", "PRESETS", "MethodEntry"]


@dataclass(frozen=True)
class MethodEntry:
    """A method in the catalogue.

    about: in one phrase, for people who choose.
    reference: where its numbers come from.
    """

    name: str
    method: Method
    about: str
    reference: str


def _tau(official: float) -> float:
    """tau of the official code, whose likelihood is exp(-L/tau²), in the convention of this pack."""
    return official / math.sqrt(2)


_EMOJI = ProbabilityFlow(steps=3, sigma_min=0.02)
_LDM = HMC(
    steps=65, step_size=2.1e-5, step_size_end=0.12, tau=_tau(0.01), momentum=0.41, gradient_clamp=1.0
)  # fmt: skip
_STABLE_DIFFUSION = HMC(
    steps=95, step_size=1.1e-4, step_size_end=0.027, tau=_tau(0.01), momentum=0.47, gradient_clamp=1.0
)
_PIXEL = Method(
    ProbabilityFlow(steps=5, sigma_min=0.01), Langevin(steps=100, step_size=5e-5, step_size_end=0.01, tau=_tau(0.01))
)
_FULL = Decoding(precision="full")
_DAPS = "arXiv 2407.01521"
#: The official code's phase retrieval. Its levels are ``poly_rho(50, 0.1, 10.0, drop_sigma_min=True)``, for pixels
#: ``poly_rho(200, 0.1, 100.0, drop_sigma_min=True)``, with the decoder in its own precision.
_OFFICIAL = f"{_DAPS}, github zhangbingliang2019/DAPS at 098df6b"

METHODS: tuple[MethodEntry, ...] = (
    MethodEntry(
        "emoji_langevin",
        Method(
            _EMOJI, Langevin(steps=10, step_size=5e-4, step_size_end=0.1, tau=_tau(0.028), prior_width="capped")
        ),
        "tuned on Emoji-64 at noise 0.05, for which it is 6.4 times too sharp",
        _DAPS,
    ),
    MethodEntry(
        "emoji_hmc",
        Method(
            _EMOJI,
            HMC(steps=10, step_size=1e-4, step_size_end=0.1, tau=_tau(0.028), momentum=0.7, prior_width="capped"),
        ),
        "tuned on Emoji-64 at noise 0.05, under-damped",
        _DAPS,
    ),
    MethodEntry("daps_official", Method(data_step=_LDM, decoding=_FULL), "latent diffusion models", _OFFICIAL),
    MethodEntry(
        "daps_official_sd",
        Method(data_step=_STABLE_DIFFUSION, decoding=_FULL),
        "Stable Diffusion, published at noise 0.01",
        _OFFICIAL,
    ),
    MethodEntry("daps_official_pixel", replace(_PIXEL, decoding=_FULL), "pixel models", _OFFICIAL),
    MethodEntry(
        "langevin",
        Method(data_step=Langevin(steps=50, step_size=4e-6, step_size_end=0.01, tau=_tau(0.01), gradient_clamp=1.0)),
        "in no official file: official latent chains are hmc only; from early users of the method",
        _DAPS,
    ),
    MethodEntry("hmc", Method(data_step=_LDM), "daps_official, where the decoder may run in bfloat16", _OFFICIAL),
    MethodEntry(
        "hmc_stable_diffusion", Method(data_step=_STABLE_DIFFUSION), "daps_official_sd, likewise", _OFFICIAL
    ),
    MethodEntry("pixel_langevin", _PIXEL, "daps_official_pixel, likewise", _OFFICIAL),
)  # fmt: skip

#: The methods by name.
PRESETS: Mapping[str, Method] = MappingProxyType({entry.name: entry.method for entry in METHODS})
