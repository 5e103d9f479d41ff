r"""Hard data consistency: move a latent until its picture explains the measurement (ReSample, Song et al., 2307.08123).

Each particle minimises :math:`L(z) = \|A(\mathrm{dec}(z)) - y\|^2` from where it is, with Adam, and stops by itself:

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
from .rows_under_adam import Consistency, RowsUnderAdam, Rule

__all__ = ["Consistency", "HardConsistency", "hard_consistency", "prior_residual"]


@dataclass(frozen=True)
class HardConsistency(Move):
    """How hard a latent is held to the measurement.

    A move is accepted when the residual fell and the denoiser's own residual did not grow by more than the tolerance;
    otherwise the particle stays where the data step left it.
    """

    name: ClassVar[str] = "hard_consistency"
    title: ClassVar[str] = "Hard Consistency"
    phase: ClassVar[str] = "polish"
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
        level.observer.enter(self.phase)
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
    rule = Rule(
        options.learning_rate, options.beta1, options.beta2, target, options.window, options.min_improvement
    )  # fmt: skip
    rows = RowsUnderAdam(z, rule, mask)
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
