r"""The recipe for phase retrieval: a search by soft phases, then a joint fit, then a step off the decoder.

Many particles, each with one model call per noise level and no gradient; few decoder gradients, for the few that are
left; and a last word of the measurement in pixels:

1. Search (VE noise levels 2 ... 0.25, after one at 6): :math:`\hat z_0 = D(x; \sigma)`, its picture corrected by soft
   phases, the correction encoded (``posterior/data_steps/pixel.py``), noise anew. At 0.6, where the residual begins to
   tell, half of the particles go on; after 0.25 a quarter.
2. Joint fit (levels 0.2, 0.1, 0.05): the latent and what its decoder cannot draw, together
   (``posterior/data_steps/joint_fit.py``): the only gradients.
3. Off the decoder (``posterior/moves/off_decoder.py``), the blind choice (``blind_choice.py``), the mean of those that
   agree with it (``consensus.py``), the way round that the model believes (``upright.py``).

The numbers that belong to a prior are a :class:`Calibration`; ``docs/recipe.md`` derives and measures all of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch

from ..diffusion.observer import SILENT, Observer, Observers
from ..diffusion.options import Option
from ..diffusion.parameterization import parameterization_of
from ..diffusion.particle_noise import ParticleNoise
from ..operators import Measurement
from ..posterior.autoencoder import Encoder
from ..posterior.data_steps.in_stages import InStages
from ..posterior.data_steps.joint_fit import JointFit
from ..posterior.data_steps.pixel import PixelStep
from ..posterior.decoding import Decoder, Decoding
from ..posterior.estimates.tweedie import Tweedie
from ..posterior.method import Method
from ..posterior.moves.blind_choice import BlindChoice
from ..posterior.moves.consensus import Consensus
from ..posterior.moves.off_decoder import OffDecoder
from ..posterior.moves.pruning import Pruning
from ..posterior.moves.upright import Upright
from ..posterior.part import Move
from ..schedulers.search import SearchLevels
from .latent_daps import sample_latent_daps

__all__ = ["CALIBRATIONS", "EFFORT", "Calibration", "Reconstruction", "recipe", "reconstruct"]

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
    consensus: Consensus = field(default_factory=Consensus)
    upright: Upright = field(default_factory=Upright)


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
    moves = [*_prunings(effort, c), c.off_decoder, c.choice, c.consensus, c.upright] if weight > 0 else []
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


class _Result(Observer):
    """Keeps the pictures that a run shows last."""

    listens = True

    def images(self, particles: Sequence[int], images: torch.Tensor) -> None:
        """The particles as they are now."""
        self.names, self.pictures = list(particles), images


@dataclass(frozen=True)
class Reconstruction:
    """pictures: ``[K, 3, H, W]`` in [-1, 1], the likeliest first; latents: ``[K, ...]``; names: of the particles."""

    pictures: torch.Tensor
    latents: torch.Tensor
    names: list[int]


def reconstruct(
    model: Callable[..., torch.Tensor],
    measurement: Measurement,
    decoder: Decoder,
    encoder: Encoder,
    latent_shape: tuple[int, ...],
    effort: int = EFFORT.default,  # type: ignore[assignment]
    seed: int = 0,
    **settings: Any,
) -> Reconstruction:
    """Find the picture that was measured.

    Args:
        model: denoiser, called as ``model(x, sigma, **extra_args)`` with sigma ``[N]``; it says its parameterization.
        decoder, encoder: latents in the model's scale to images in [-1, 1], differentiable, and back.
        latent_shape: of one latent, ``(c, h, w)``.
        seed: of all noise; particle k's does not depend on how many there are.
        settings: ``calibration``, ``method`` (instead of the recipe for this effort), ``extra_args``, ``observer``.
    """
    calibration = settings.pop("calibration", None) or CALIBRATIONS["emoji_64"]
    method = settings.pop("method", None) or recipe(effort, calibration)
    extra_args = {"seed": seed, **settings.pop("extra_args", {})}
    result = _Result()
    parameterization = parameterization_of(model)
    sigmas = parameterization.sigma_from_ve(calibration.levels.sigmas())
    noise = ParticleNoise(seed, "start")(measurement.y.new_empty((effort, *latent_shape), dtype=torch.float32))
    latents = sample_latent_daps(
        model,
        parameterization.noise_deviation(float(sigmas[0])) * noise,
        sigmas,
        extra_args,
        disable=True,
        measurement=measurement,
        decoder=decoder,
        encoder=encoder,
        method=method,
        observer=Observers(result, settings.pop("observer", SILENT)),
        **settings,
    )
    return Reconstruction(result.pictures, latents, result.names)


#: By name. Made by ``lab.py bench calibrate``.
CALIBRATIONS: Mapping[str, Calibration] = MappingProxyType({"emoji_64": Calibration()})
