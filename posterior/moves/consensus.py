r"""What the candidates agree on: the mean of those that found the same picture.

Each particle that has found the picture is, in what the measurement leaves open, one draw of many; their mean is nearer
to the truth than any of them. Particles found different pictures agree when they are near to each other, modulo what
the measurement cannot tell apart (a twin rotated by 180° is turned first); a mean over different pictures would be
none.

All pictures are turned to agree with the chosen one, and its own becomes the mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ...diffusion.options import option
from ...operators import Symmetry
from ..level import Level
from ..part import Move
from ..particles import Particles
from .symmetric_distance import rms_of_psnr

__all__ = ["Consensus", "pictures_of", "turned_alike"]


@dataclass(frozen=True)
class Consensus(Move):
    """After the last step, and after the blind choice: the chosen picture is the mean of those that agree with it."""

    name: ClassVar[str] = "consensus"
    title: ClassVar[str] = "Consensus"
    about: ClassVar[str] = (
        "After the last step, averages the chosen picture with those that agree with it, and turns all pictures the "
        "same way round. Connect it after Blind Choice."
    )
    aliases: ClassVar[tuple[str, ...]] = ("average", "mean", "ensemble", "posterior mean", "recipe")

    agreement_psnr: float = option(
        20.0,
        "Pictures nearer to the chosen one than this many dB, in any orientation that the measurement cannot tell "
        "apart, are averaged with it. 100: none.",
        minimum=0.0,
        maximum=100.0,
        step=0.5,
    )

    def is_due(self, level: Level) -> bool:
        """After the last step."""
        return level.is_last

    def __call__(self, particles: Particles, z0: torch.Tensor, level: Level) -> torch.Tensor:
        """The same z0; the pictures are turned alike, and the chosen one (else the first) is the mean."""
        pictures = pictures_of(particles, z0, level)
        row = 0 if particles.chosen is None else particles.names.index(particles.chosen)
        symmetries = [s for s in level.likelihood.measurement.operator.symmetries if s.scope == "global"]
        pictures, distance = turned_alike(pictures, pictures[row], symmetries)
        agree = distance <= rms_of_psnr(self.agreement_psnr)
        agree[row] = True
        pictures[row] = pictures[agree].mean(0)
        particles.pictures = pictures
        names = [name for name, same in zip(particles.names, agree.tolist(), strict=True) if same]
        level.report(consensus={"particles": names, "chosen": particles.names[row]})
        return z0


def pictures_of(particles: Particles, z0: torch.Tensor, level: Level) -> torch.Tensor:
    """The particles' pictures, clamped: those that a move has made, else what the decoder draws of ``z0``."""
    pictures = particles.pictures
    if pictures is None:
        pictures = level.likelihood.evaluate(z0, precisely=True).images
    return pictures.clamp(-1, 1)


def turned_alike(
    images: torch.Tensor, reference: torch.Tensor, symmetries: list[Symmetry]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Every one of ``images`` ``[N, C, H, W]`` after the symmetry that brings it nearest to ``reference``.

    Returns:
        The images, and their root-mean-square distances ``[N]``; infinite for one that is not finite.
    """
    best = images.clone()
    distance = _distance(images, reference)
    for symmetry in symmetries:
        moved = symmetry(images)
        other = _distance(moved, reference)
        nearer = other < distance
        best[nearer], distance[nearer] = moved[nearer], other[nearer]
    return best, distance


def _distance(images: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    return (images - reference).square().flatten(1).mean(1).sqrt().nan_to_num(nan=torch.inf)
