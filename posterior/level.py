"""A noise level of the annealing, and what every part of a step may ask there."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch

from ..diffusion.observer import SILENT, Observer
from ..diffusion.parameterization import Parameterization
from .likelihood import Evaluation, Likelihood

__all__ = ["LARGEST_SPACING_SIGMA", "Level", "anneal", "check_annealing", "step_at"]

#: A flow's first level has sigma_ve = infinity; what is spaced or scaled by the first level takes this instead.
LARGEST_SPACING_SIGMA = 80.0


@dataclass
class Level:
    """Step ``i`` of the run, from noise level ``sigma`` to ``sigma_next``.

    sigma, sigma_next: 0-dimensional, in the model's own units.
    sigmas_ve: the VE level at which each step of the run starts; infinite at a flow's pure noise.
    phase: of the run; time, memory and calls are recorded by it.
    facts: what the parts of the step report, for the record.
    seen: pictures and residuals that the data step came by on its way; who can do with them need not decode again.
    """

    i: int
    sigma: torch.Tensor
    sigma_next: torch.Tensor
    sigmas_ve: list[float]
    parameterization: Parameterization
    likelihood: Likelihood
    observer: Observer = SILENT
    phase: str = "explore"
    facts: dict[str, Any] = field(default_factory=dict)
    seen: Evaluation | None = None

    @property
    def steps(self) -> int:
        """How many the run has."""
        return len(self.sigmas_ve)

    @property
    def sigma_ve(self) -> float:
        """The VE level of ``sigma``."""
        return self.sigmas_ve[self.i]

    @property
    def sigma_top(self) -> float:
        """The VE level of the run's first step, at most :data:`LARGEST_SPACING_SIGMA`."""
        return min(max(self.sigmas_ve), LARGEST_SPACING_SIGMA)

    @property
    def is_last(self) -> bool:
        """Whether the step ends at the clean image."""
        return self.i == self.steps - 1 and float(self.sigma_next) == 0

    def enter(self, phase: str) -> None:
        """The step begins, in this phase."""
        self.phase = phase
        self.observer.enter(phase)

    def report(self, **facts: Any) -> None:
        """Tell the observer about this step; ``phase`` stays that in which the step began."""
        self.observer.step(self.i, float(self.sigma), phase=self.phase, **facts)


def anneal(
    sigmas: torch.Tensor,
    parameterization: Parameterization,
    likelihood: Likelihood,
    observer: Observer = SILENT,
    rising: bool = False,
) -> list[Level]:
    """The levels of a run through ``sigmas`` ``[n + 1]``, in the model's own units; none for fewer than two.

    Raises:
        ValueError: see :func:`check_annealing`.
    """
    check_annealing(sigmas, parameterization, rising)
    sigmas_ve = [parameterization.sigma_ve(float(sigma)) for sigma in sigmas[:-1]]
    return [
        Level(i, sigmas[i], sigmas[i + 1], sigmas_ve, parameterization, likelihood, observer)
        for i in range(len(sigmas_ve))
    ]


def step_at(progress: float, steps: int) -> int | None:
    """The first step after which at least ``progress`` of ``steps`` are done; None when there are no steps."""
    return max(0, math.ceil(progress * steps - 1e-9) - 1) if steps else None


def check_annealing(sigmas: torch.Tensor, parameterization: Parameterization, rising: bool = False) -> None:
    """Raise a ``ValueError`` that names what is wrong with ``sigmas`` for a model of this parameterization."""
    if not bool(torch.isfinite(sigmas).all()):
        raise ValueError("sigmas contain NaN or infinity; connect an Annealing Scheduler.")
    if not rising and len(sigmas) > 1 and not bool((sigmas[1:] < sigmas[:-1]).all()):
        raise ValueError("sigmas must decrease from step to step; connect an Annealing Scheduler.")
    if len(sigmas) and float(sigmas[0]) > parameterization.sigma_limit:
        raise ValueError(
            f"sigmas start at {float(sigmas[0]):g}, but this is a flow model, whose sigma runs from 1 to 0; "
            "connect the model to the Annealing Scheduler so that it can convert them."
        )
