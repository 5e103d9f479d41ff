r"""Pruning: late in a run, keep the K particles that are worth their decoder calls.

Two questions are asked of the particles at one moment of the annealing: how large is the residual
:math:`L_i = \|A(x_i) - y\|^2`, and how far apart are the pictures, :math:`d_{ij} = \min_s \mathrm{rms}(s(x_i) - x_j)`
over the symmetries s of the measurement? A twin rotated by 180° explains the measurement exactly as well, so it is no
other solution, and counts as one only when nothing more different is left. ``selection.py`` has the rules.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch

from ...diffusion.options import option
from ...diffusion.particle_noise import ParticleNoise
from ...operators import IDENTITY, Symmetry
from ..level import Level, step_at
from ..part import Move
from ..particles import Particles
from .selection import best, diverse, resample
from .symmetric_distance import rms_of_psnr, symmetric_distance

__all__ = ["MODES", "Pruned", "Pruning", "prune"]

MODES = ("diverse", "residual", "resample")

Distances = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Pruning(Move):
    """When and how particles are pruned.

    Of the tolerance, measured at 80 % of the annealing on the Emoji prior: within 2 % of the smallest residual 88 % of
    the particles ended as a reconstruction, from 2 to 5 % above it 20 %, from 10 to 20 % above it 10 %.
    """

    name: ClassVar[str] = "pruning"
    title: ClassVar[str] = "Pruning"
    phase: ClassVar[str] = "prune"
    about: ClassVar[str] = (
        "Late in a LatentDAPS run, drop the particles that are not worth their time: memory and time fall with the "
        "number that go on."
    )
    aliases: ClassVar[tuple[str, ...]] = ("particles", "select", "resample", "best of N", "sequential Monte Carlo")

    keep: int = option(
        2, "How many particles go on. 0, or as many as there are: no pruning.", minimum=0, maximum=4096
    )  # fmt: skip
    progress: float = option(
        0.8,
        "After which share of the steps. 0.8 is t = 200 of 1000 in papers. Too early, and the eventual best may not "
        "yet look like it.",
        minimum=0.0,
        maximum=1.0,
        step=0.01,
    )
    mode: str = option(
        "diverse",
        "diverse: the best, then different pictures with a residual not much worse; of duplicates the better one. "
        "residual: the smallest residuals. resample: drawn by tempered likelihood, good ones may go on twice.",
        choices=MODES,
    )
    tolerance: float = option(
        0.03,
        "Mode diverse: a different picture is preferred to a duplicate while its residual is at most this share above "
        "the smallest.",
        minimum=0.0,
        maximum=1000.0,
        step=0.01,
        advanced=True,
    )
    duplicate_psnr: float = option(
        20.0,
        "Mode diverse: pictures closer to each other than this many dB, in any orientation that the measurement cannot "
        "tell apart, are duplicates.",
        minimum=0.0,
        maximum=100.0,
        step=0.5,
        advanced=True,
    )
    sigma: float = option(
        0.0,
        "Prune after the first step at or below this noise level, whatever the progress. 0: by progress. For flow "
        "models in the scale of the others: sigma/(1 - sigma).",
        minimum=0.0,
        maximum=1000.0,
        step=0.01,
        advanced=True,
    )
    effective_share: float = option(
        0.5,
        "Mode resample: effective sample size as a share of the particles. Small: the best few take all. 1: a lottery.",
        minimum=0.01,
        maximum=1.0,
        step=0.05,
        advanced=True,
    )

    def step(self, sigmas_ve: Sequence[float]) -> int | None:
        """The annealing step after which to prune; None for never. ``sigmas_ve``: the level of every step."""
        if self.keep == 0:
            return None
        if self.sigma > 0:
            return next((i for i, sigma in enumerate(sigmas_ve) if sigma <= self.sigma), None)
        return step_at(self.progress, len(sigmas_ve))

    def is_due(self, level: Level) -> bool:
        """Once, after the step that the options name."""
        return level.i == self.step(level.sigmas_ve)

    def is_for(self, count: int) -> bool:
        """When there are more than go on."""
        return self.keep < count

    def __call__(self, particles: Particles, z0: torch.Tensor, level: Level) -> torch.Tensor:
        """z0 ``[K, ...]`` of the particles that go on; who was dropped, and why, is reported."""
        if not self.is_for(len(particles)):
            return z0
        level.observer.enter(self.phase)
        residual, images = level.seen or level.likelihood.evaluate(z0)
        operator = level.likelihood.measurement.operator
        # A stream of its own, so that resampling takes no number from the particles.
        draw = ParticleNoise(particles.seed, "pruning")(torch.zeros(1, 1, dtype=torch.float64))
        uniform = min(float(torch.special.ndtr(draw)), 1 - 1e-12)
        symmetries = operator.symmetries, operator.shift_symmetric, operator.background
        names = particles.names
        pruned = prune(residual, images, self, *symmetries, uniform=uniform, names=names)
        new = particles.keep(pruned.rows)
        level.seen = None
        dropped = [{"particle": names[row], "reason": reason} for row, reason in pruned.reasons.items()]
        level.report(pruning={"kept": list(particles.names), "dropped": dropped, "new": new})
        return z0[pruned.rows]


@dataclass(frozen=True)
class Pruned:
    """rows: those that go on, ascending; one that was drawn twice stands there twice. reasons: by dropped row."""

    rows: list[int]
    reasons: dict[int, str] = field(default_factory=dict)


def prune(
    residual: torch.Tensor,
    images: torch.Tensor,
    options: Pruning,
    symmetries: Sequence[Symmetry] = (),
    shifts: bool = False,
    background: float = -1.0,
    uniform: float = 0.5,
    names: Sequence[int] | None = None,
) -> Pruned:
    """Choose the particles that go on.

    Args:
        residual: L ``[N]``; a particle with a non-finite one is dropped before any other.
        images: decoded particles ``[N, C, H, W]`` in [-1, 1].
        options: see :class:`Pruning`.
        symmetries: exact symmetries of the measurement, identity first; none gives plain distances.
        shifts, background: see :func:`symmetric_distance`.
        uniform: the one random number of "resample", in [0, 1).
        names: what the particles are called in the reasons; their rows if None.
    """
    losses = residual.double().tolist()
    called = list(names or range(len(losses)))
    if options.keep == 0 or options.keep >= len(losses):
        return Pruned(list(range(len(losses))))
    finite = [k for k, loss in enumerate(losses) if math.isfinite(loss)]
    broken = [k for k in range(len(losses)) if k not in finite]
    known = [losses[k] for k in finite]
    modulo: torch.Tensor | None = None
    if not finite:
        chosen: list[int] = []
    elif options.mode == "resample":
        chosen = resample(known, options.keep, options.effective_share * len(finite), uniform)
    elif options.mode == "residual":
        chosen = best(known, options.keep)
    else:
        modulo, plain = _distances(images[finite], symmetries, shifts, background)
        chosen = diverse(known, options.keep, (modulo, plain), _near(options), options.tolerance)
    rows = ([finite[k] for k in chosen] + broken)[: options.keep]
    reasons = dict.fromkeys(broken, "not finite")
    for k in range(len(finite)):
        if k not in chosen:
            reasons[finite[k]] = _reason(k, chosen, known, modulo, [called[row] for row in finite], options)
    return Pruned(sorted(rows), {k: reasons[k] for k in sorted(reasons) if k not in rows})


def _distances(images: torch.Tensor, symmetries: Sequence[Symmetry], shifts: bool, background: float) -> Distances:
    """Distances modulo the symmetries, and plain ones, ``[N, N]`` each."""
    plain = symmetric_distance(images, (IDENTITY,), False, background)
    if len(symmetries) <= 1 and not shifts:
        return plain, plain
    return symmetric_distance(images, symmetries or (IDENTITY,), shifts, background), plain


def _near(options: Pruning) -> float:
    """``duplicate_psnr`` as a distance."""
    return rms_of_psnr(options.duplicate_psnr)


def _reason(
    k: int, chosen: list[int], losses: list[float], modulo: torch.Tensor | None, names: list[int], options: Pruning
) -> str:
    """Why the finite row k is not among the ``chosen``. ``names``: of the finite ones."""
    if options.mode == "resample":
        return "not drawn"
    if modulo is not None:
        twin = min(chosen, key=lambda row: float(modulo[k, row]))
        if float(modulo[k, twin]) <= _near(options):
            return f"duplicate of {names[twin]}"
    least = min(losses[row] for row in chosen)
    return f"residual {losses[k] / least:.2f} times the best" if least > 0 else "larger residual"
