r"""The recipe for phase retrieval: a search by soft phases, then a joint fit, then a step off the decoder.

Many particles, each with one model call per noise level and no gradient; few decoder gradients, for the few that are
left; and a last word of the measurement in pixels:

1. Search (VE noise levels 2 … 0.25, after one at 6): :math:`\hat z_0 = D(x; \sigma)`, its picture corrected by soft
   phases, the correction encoded (``posterior/data_steps/pixel.py``), noise anew. At 0.6, where the residual begins to
   tell, half of the particles go on; after 0.25 a quarter.
2. Joint fit (levels 0.2, 0.1, 0.05): the latent and what its decoder cannot draw, together
   (``posterior/data_steps/joint_fit.py``): the only gradients.
3. Off the decoder (``posterior/moves/off_decoder.py``), and the blind choice (``posterior/moves/blind_choice.py``).

The numbers that belong to a prior are a :class:`Calibration`; ``docs/recipe.md`` derives and measures all of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import torch

from ..diffusion.options import Option, Options, option
from ..posterior.data_steps.in_stages import InStages
from ..posterior.data_steps.joint_fit import JointFit
from ..posterior.data_steps.pixel import PixelStep
from ..posterior.decoding import Decoding
from ..posterior.estimates.tweedie import Tweedie
from ..posterior.method import Method
from ..posterior.moves.blind_choice import BlindChoice
from ..posterior.moves.off_decoder import OffDecoder
from ..posterior.moves.pruning import Pruning

__all__ = ["CALIBRATIONS", "EFFORT", "Calibration", "recipe"]

EFFORT = Option(
    "effort",
    16,
    "How many attempts start; half of them go on when their residuals begin to tell, a quarter to the end. Time and "
    "memory grow with it, and so does the chance that one succeeds. 16 is what the published figures are of.",
    minimum=1,
    maximum=4096,
)


@dataclass(frozen=True)
class Calibration(Options):
    """What the recipe has to know about a prior. VE noise levels; latents of about unit variance."""

    sigma_first: float = option(6.0, "First noise level, at which nothing is known yet.", above=0.0, maximum=1000.0)
    sigma_high: float = option(2.0, "Where the search begins.", above=0.0, maximum=1000.0, step=0.1)
    sigma_prune: float = option(0.6, "Where half of the particles go on.", above=0.0, maximum=1000.0, step=0.05)
    sigma_low: float = option(0.25, "Where the search ends.", above=0.0, maximum=1000.0, step=0.01)
    sigma_last: float = option(0.05, "Where the joint fit ends.", above=0.0, maximum=1000.0, step=0.01)
    search_steps: int = option(30, "Noise levels of the search, evenly spaced in their logarithm.", minimum=2)
    fit_steps: int = option(3, "Noise levels of the joint fit, likewise, from 0.8 of sigma_low down.", minimum=0)
    search: PixelStep = field(default_factory=PixelStep)
    refine: PixelStep = field(default_factory=lambda: PixelStep(iterations=12, flat_share=0.05, feedback=0.5))
    fit: JointFit = field(default_factory=JointFit)
    off_decoder: OffDecoder = field(default_factory=OffDecoder)
    choice: BlindChoice = field(default_factory=BlindChoice)

    def check(self) -> None:
        super().check()
        levels = (self.sigma_first, self.sigma_high, self.sigma_prune, self.sigma_low, self.sigma_last)
        if sorted(levels, reverse=True) != list(levels) or len(set(levels)) < len(levels):
            raise ValueError("the noise levels of a calibration must fall: first, high, prune, low, last.")

    def levels(self) -> torch.Tensor:
        """VE noise levels of the whole run, float32 ``[n + 1]``, the last one 0."""
        search = _log_spaced(self.sigma_high, self.sigma_low, self.search_steps)
        fit = _log_spaced(0.8 * self.sigma_low, self.sigma_last, self.fit_steps)
        return torch.tensor([self.sigma_first, *search, *fit, 0.0])


def recipe(
    effort: int = EFFORT.default,  # type: ignore[assignment]
    calibration: Calibration | None = None,
    weight: float = 1.0,
    decoding: Decoding | None = None,
) -> Method:
    """The method for ``effort`` particles on the levels of ``calibration`` (Emoji-64's if None).

    Args:
        weight: of the measurement against the prior; 0 samples the prior alone.

    Raises:
        ValueError: an effort that is no whole number of 1 or more.
    """
    EFFORT.check(effort)
    c = calibration or CALIBRATIONS["emoji_64"]
    search = InStages(sigma=c.sigma_prune, first=c.search, then=c.refine)
    step = InStages(sigma=c.sigma_low, first=search, then=c.fit).weighted(weight)
    moves = [
        Pruning(keep=math.ceil(effort / 2), mode="residual", sigma=c.sigma_prune),
        Pruning(keep=math.ceil(effort / 4), mode="residual", sigma=c.sigma_low * 1.0001),
    ]
    last = [c.off_decoder, c.choice] if weight > 0 else []
    return Method(Tweedie(), step, (*(moves if weight > 0 else []), *last), decoding=decoding or Decoding())


def _log_spaced(high: float, low: float, count: int) -> list[float]:
    return torch.logspace(math.log10(high), math.log10(low), count, dtype=torch.float64).tolist() if count else []


#: By name. Made by ``lab.py bench calibrate``.
CALIBRATIONS: Mapping[str, Calibration] = MappingProxyType({"emoji_64": Calibration()})
