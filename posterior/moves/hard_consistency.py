r"""Hard data consistency: move a latent until its picture explains the measurement (ReSample, Song et al., 2307.08123).

Each particle minimises :math:`L(z) = \|A(\mathrm{dec}(z)) - y\|^2` from where it is, with Adam (Kingma & Ba,
arXiv 1412.6980) and no weight decay, and stops by itself:

* noise floor: :math:`L \le f\,(1 + c\sqrt{2/m})`, the discrepancy principle. f is the residual expected of the truth,
  which with m measurements fluctuates by a share sqrt(2/m); below it noise would be fitted.
* plateau: no relative improvement worth the name within a window.
* budget: so many iterations; not finite: back to where it was.

One rule for the whole batch would stop the slow particle when the fast one is done, or go on fitting noise in the fast
one. So every row has its own moments and its own end, and a row that has ended leaves the batch: a zero gradient would
not stop it, for momentum moves it on.

A smaller residual is not yet a better picture, so a move is accepted only when the denoiser does not object
(:func:`prior_residual`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch

from ...diffusion.observer import SILENT, Observer
from ...diffusion.options import option
from ...diffusion.tensors import finite_rows, per_row, rms
from ..level import Level, step_at
from ..likelihood import Likelihood
from ..part import Move
from ..particles import Particles

__all__ = ["Consistency", "HardConsistency", "hard_consistency", "prior_residual"]

NOISE_FLOOR, PLATEAU, BUDGET, NOT_FINITE = "noise floor", "plateau", "budget", "not finite"
EPSILON = 1e-8  # of Adam


@dataclass(frozen=True)
class HardConsistency(Move):
    """How hard a latent is held to the measurement.

    A move is accepted when the residual fell and the denoiser's own residual did not grow by more than the tolerance;
    otherwise the particle stays where the data step left it.
    """

    name: ClassVar[str] = "hard_consistency"
    title: ClassVar[str] = "Hard Consistency"
    about: ClassVar[str] = (
        "Late in a LatentDAPS run, optimise each particle's latent until its picture explains the measurement as well "
        "as the truth would, and no better. A move that the model finds less plausible is taken back."
    )
    aliases: ClassVar[tuple[str, ...]] = ("ReSample", "optimise", "polish", "data consistency", "Adam", "refine")
    reference: ClassVar[str] = "arXiv 2307.08123"

    iterations: int = option(
        20,
        "At most so many optimisation steps for each particle after each annealing step; each decodes it forwards and "
        "backwards. A particle at the noise floor takes none. 0: off.",
        minimum=0,
        maximum=100_000,
    )
    learning_rate: float = option(
        1e-3,
        "Step size in the latent. Published: 0.005, which drags pictures away from what the model finds plausible. 0: "
        "off.",
        minimum=0.0,
        maximum=1.0,
        step=1e-4,
    )
    start: float = option(
        0.8,
        "After which share of the steps it begins; it then follows every step. 0.8 is t = 200 of 1000 in papers.",
        minimum=0.0,
        maximum=1.0,
        step=0.01,
    )
    slack: float = option(
        1.0,
        "How near to the noise floor a particle is done, in standard deviations of what the noise alone does to the "
        "truth's residual. Larger: stop earlier.",
        minimum=0.0,
        maximum=100.0,
        step=0.1,
        advanced=True,
    )
    window: int = option(
        10,
        "A particle that has not improved by min_improvement in so many iterations is done.",
        minimum=1,
        maximum=10_000,
        advanced=True,
    )
    min_improvement: float = option(
        1e-3,
        "Share by which the residual must fall within the window.",
        minimum=0.0,
        maximum=1.0,
        step=1e-4,
        advanced=True,
    )
    gate_sigma: float = option(
        0.2,
        "Noise level at which the model is asked whether the moved picture is still plausible. 0 disables it.",
        minimum=0.0,
        maximum=100.0,
        step=0.01,
        advanced=True,
    )
    gate_tolerance: float = option(
        0.02,
        "Share by which the model's own error may grow before the move is taken back.",
        minimum=0.0,
        maximum=100.0,
        step=0.01,
        advanced=True,
    )
    #: Adam's; no widget, because nobody needed to change them.
    beta1: float = 0.9
    beta2: float = 0.999

    def check(self) -> None:
        super().check()
        for beta in ("beta1", "beta2"):
            if not 0 <= getattr(self, beta) < 1:
                raise ValueError(f"{beta} is {getattr(self, beta)}; it must be at least 0 and less than 1.")

    @property
    def is_active(self) -> bool:
        """False when nothing would move and it is left out."""
        return self.iterations > 0 and self.learning_rate > 0

    def is_due(self, level: Level) -> bool:
        """At every step from the one that the options name."""
        first = step_at(self.start, level.steps)
        return self.is_active and first is not None and level.i >= first

    def __call__(self, particles: Particles, z0: torch.Tensor, level: Level) -> torch.Tensor:
        """z0 ``[N, ...]`` with the accepted rows moved; what happened is reported."""
        level.observer.enter("polish")
        found = hard_consistency(z0, level.likelihood, self, particles.mask, level.observer)
        # A stream of its own, drawn from whether it is needed or not: nobody's path depends on who is polished.
        noise = particles.stream("hard consistency")(z0)
        accepted = found.improved
        if self.gate_sigma > 0 and bool(accepted.any()):
            accepted = accepted & self._is_plausible(found.z, z0, noise, particles, level)
        z = torch.where(per_row(accepted, z0), found.z, z0)
        level.report(
            polish={
                "particles": list(particles.names),
                "residual_before": found.before.tolist(),
                "residual": torch.where(accepted, found.residual, found.before).tolist(),
                "iterations": found.iterations,
                "stopped": found.stopped,
                "accepted": accepted.tolist(),
            }
        )
        return z

    def _is_plausible(
        self, z: torch.Tensor, before: torch.Tensor, noise: torch.Tensor, particles: Particles, level: Level
    ) -> torch.Tensor:
        """``[N]``: whether the denoiser finds ``z`` no worse than ``before``, but for the tolerance.

        The model is called with all rows, moved or not: it may know its rows.
        """
        sigma = level.parameterization.sigma_from_ve(z.new_tensor(self.gate_sigma))
        alpha = level.parameterization.alpha(sigma)
        noise = level.parameterization.noise_deviation(noise)
        doubt, doubt_before = (prior_residual(at, noise, particles.denoise, sigma, alpha) for at in (z, before))
        return doubt <= (1 + self.gate_tolerance) * doubt_before


@dataclass(frozen=True)
class Consistency:
    """What became of every particle.

    z: ``[N, ...]``, of each row the best that it came across.
    before, residual: L ``[N]`` at the start and of ``z``.
    iterations: steps each row took. stopped: why it took no more.
    """

    z: torch.Tensor
    before: torch.Tensor
    residual: torch.Tensor
    iterations: list[int]
    stopped: list[str]

    @property
    def improved(self) -> torch.Tensor:
        """``[N]`` booleans: rows whose residual fell."""
        return self.residual < self.before


def hard_consistency(
    z: torch.Tensor,
    likelihood: Likelihood,
    options: HardConsistency,
    mask: torch.Tensor | None = None,
    observer: Observer = SILENT,
) -> Consistency:
    """Minimise every particle's residual, each with its own Adam and its own end.

    Args:
        z: clean latents ``[N, ...]`` in the model's own scale.
        likelihood: residual and gradient; its measurement says where the noise floor is.
        options: see :class:`HardConsistency`.
        mask: 1 where the latent may move, 0 where it is given; ``[1 or N, ...]``, broadcasts against ``z``.
        observer: asked before every iteration whether the run is cancelled.
    """
    measurement = likelihood.measurement
    target = measurement.noise_floor * (1 + options.slack * math.sqrt(2 / measurement.count))
    rows = _Rows(z, options, target, mask)
    for t in range(1, options.iterations + 1):
        observer.raise_if_cancelled()
        losses, gradient = likelihood.residual_and_gradient(rows.latents)
        going = rows.record(torch.where(finite_rows(gradient), losses, math.nan), is_last=False)
        if not going:
            return rows.result()
        rows.advance(going, gradient[going], t)
    observer.raise_if_cancelled()
    rows.record(likelihood.residual(rows.latents), is_last=True)  # where the last step led
    return rows.result()


class _Rows:
    """The rows of a batch under Adam; one that has ended is frozen and leaves those that are computed."""

    def __init__(self, z: torch.Tensor, options: HardConsistency, target: float, mask: torch.Tensor | None) -> None:
        self._z, self._options, self._target, self._mask = z, options, target, mask
        self._at, self._best = z.clone(), z.clone()
        self._first_moment, self._second_moment = torch.zeros_like(z), torch.zeros_like(z)
        self._residual = torch.full((len(z),), math.nan, device=z.device)
        self._history: list[list[float]] = [[] for _ in z]
        self._stopped = [BUDGET] * len(z)
        self._going = list(range(len(z)))

    @property
    def latents(self) -> torch.Tensor:
        """Of the rows that still go on."""
        return self._at[self._going]

    def record(self, losses: torch.Tensor, is_last: bool) -> list[int]:
        """Take the residuals of :attr:`latents`; returns which of them (places in that batch) go on."""
        going = []
        for place, (row, loss) in enumerate(zip(self._going, losses.tolist(), strict=True)):
            reason = self._reason_to_stop(row, loss)
            if reason != NOT_FINITE and loss < min(self._history[row], default=math.inf):
                self._best[row], self._residual[row] = self._at[row], losses[place].to(self._residual)
            if reason != NOT_FINITE:
                self._history[row].append(loss)
            if reason is not None:
                self._stopped[row] = reason
            elif not is_last:
                going.append(place)
        return going

    def _reason_to_stop(self, row: int, loss: float) -> str | None:
        if not math.isfinite(loss):
            return NOT_FINITE
        if loss <= self._target:
            return NOISE_FLOOR
        track, options = self._history[row], self._options
        if len(track) >= options.window and loss > (1 - options.min_improvement) * track[-options.window]:
            return PLATEAU
        return None

    def advance(self, going: list[int], gradient: torch.Tensor, t: int) -> None:
        """Step ``t`` of Adam on the rows at places ``going``, whose gradient this is."""
        o = self._options
        self._going = rows = [self._going[place] for place in going]
        self._first_moment[rows] = o.beta1 * self._first_moment[rows] + (1 - o.beta1) * gradient
        self._second_moment[rows] = o.beta2 * self._second_moment[rows] + (1 - o.beta2) * gradient.square()
        mean = self._first_moment[rows] / (1 - o.beta1**t)
        scale = (self._second_moment[rows] / (1 - o.beta2**t)).sqrt() + EPSILON
        move = -o.learning_rate * mean / scale
        if self._mask is not None:
            move = move * (self._mask[rows] if len(self._mask) == len(self._z) else self._mask)
        self._at[rows] = self._at[rows] + move

    def result(self) -> Consistency:
        """What became of every row; one that became NaN or infinite is back where it was."""
        z, history = self._z, self._history
        before = torch.tensor([track[0] if track else math.nan for track in history], device=z.device)
        lost = torch.tensor([reason == NOT_FINITE for reason in self._stopped], device=z.device)
        best = torch.where(per_row(lost, z), z, self._best)
        residual = torch.where(lost, before, self._residual)
        iterations = [max(0, len(track) - 1) for track in history]
        return Consistency(best, before, residual, iterations, self._stopped)


def prior_residual(
    z: torch.Tensor,
    noise: torch.Tensor,
    denoise: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    sigma: torch.Tensor,
    alpha: torch.Tensor | float,
) -> torch.Tensor:
    """rms(z - D(alpha z + sigma eps)) per particle, ``[N]``: small where the denoiser takes z for one of its own.

    Two latents are compared with the same ``noise``, or the noise would decide.

    Args:
        z: clean latents ``[N, ...]``.
        noise: eps, shaped like ``z``.
        denoise: ``D(x, sigma)``.
        sigma: a small level in the model's own units, 0-dimensional; alpha: the signal's share there.
    """
    return rms(z - denoise(alpha * z + sigma * noise, sigma))
