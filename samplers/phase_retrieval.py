r"""The recipe for phase retrieval: a search by soft phases, then a joint fit, then a step off the decoder.

Many particles, each with one model call per noise level and no gradient; few decoder gradients, for the few that are
left; and a last word of the measurement in pixels:

1. Search (VE noise levels 2 ... 0.25, after one at 6): :math:`\hat z_0 = D(x; \sigma)`, its picture corrected by soft
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

from ..diffusion.options import Option
from ..posterior.data_steps.in_stages import InStages
from ..posterior.data_steps.joint_fit import JointFit
from ..posterior.data_steps.pixel import PixelStep
from ..posterior.decoding import Decoding
from ..posterior.estimates.tweedie import Tweedie
from ..posterior.method import Method
from ..posterior.moves.blind_choice import BlindChoice
from ..posterior.moves.off_decoder import OffDecoder
from ..posterior.moves.pruning import Pruning
from ..posterior.part import Move
from ..schedulers.search import SearchLevels

__all__ = ["CALIBRATIONS", "EFFORT", "Calibration", "recipe"]

EFFORT = Option(
    "effort",
    16,
    "How many attempts start; half of them go on when their residuals begin to tell, a quarter to the end. Time and "
    "memory grow with it, and so does the chance that one succeeds. The default is what the published figures are of.",
    minimum=1,
    maximum=4096,
)


@dataclass(frozen=True)
class Calibration:
    """What the recipe has to know about a prior whose latents have about unit variance.

    levels: VE noise levels. sigma_prune: the one at which half of the particles go on.
    """

    levels: SearchLevels = field(default_factory=SearchLevels)
    sigma_prune: float = 0.6
    search: PixelStep = field(default_factory=PixelStep)
    refine: PixelStep = field(default_factory=lambda: PixelStep(iterations=12, flat_share=0.05, feedback=0.5))
    fit: JointFit = field(default_factory=JointFit)
    off_decoder: OffDecoder = field(default_factory=OffDecoder)
    choice: BlindChoice = field(default_factory=BlindChoice)


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
    step = InStages(sigma=c.levels.sigma_low, first=search, then=c.fit).weighted(weight)
    moves = [*_prunings(effort, c), c.off_decoder, c.choice] if weight > 0 else []
    return Method(Tweedie(), step, tuple(moves), decoding=decoding or Decoding())


def _prunings(effort: int, c: Calibration) -> list[Move]:
    """Those that drop somebody: to a half where residuals begin to tell, to a quarter where the search ends."""
    half, quarter = math.ceil(effort / 2), math.ceil(effort / 4)
    prunings: list[Move] = []
    if half < effort:
        prunings.append(Pruning(keep=half, mode="residual", sigma=c.sigma_prune))
    if quarter < half:
        prunings.append(Pruning(keep=quarter, mode="residual", sigma=c.levels.sigma_low * 1.0001))
    return prunings


#: By name. Made by ``lab.py bench calibrate``.
CALIBRATIONS: Mapping[str, Calibration] = MappingProxyType({"emoji_64": Calibration()})
