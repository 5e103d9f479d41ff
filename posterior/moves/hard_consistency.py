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
from dataclasses import asdict, dataclass
from typing import Any

import torch

from ..likelihood import Likelihood
from .pruning import step_at

__all__ = ["Consistency", "HardConsistencyOptions", "hard_consistency", "prior_residual"]

NOISE_FLOOR, PLATEAU, BUDGET, NOT_FINITE = "noise floor", "plateau", "budget", "not finite"


@dataclass(frozen=True)
class HardConsistencyOptions:
    """How hard a latent is held to the measurement.

    iterations: budget of each particle, each time; 0 leaves hard consistency out.
    learning_rate: Adam's, in units of the model's latent (published: 5e-3).
    start: share of the annealing after which it begins; it then follows every step's chain.
    slack: c, standard deviations of the truth's own residual above the noise floor at which a particle is done.
    window, min_improvement: a particle that improved by less than this share within this many iterations is done.
    gate_sigma: VE noise level at which the denoiser is asked; 0 asks nobody.
    gate_tolerance: share by which the denoiser's own residual may grow.
    beta1, beta2: Adam's.
    """

    iterations: int = 20
    learning_rate: float = 1e-3
    start: float = 0.8
    slack: float = 1.0
    window: int = 10
    min_improvement: float = 1e-3
    gate_sigma: float = 0.2
    gate_tolerance: float = 0.02
    beta1: float = 0.9
    beta2: float = 0.999

    def __post_init__(self) -> None:
        if self.iterations < 0:
            raise ValueError(f"iterations is {self.iterations}; it must be 0 (off) or more.")
        if not 0 <= self.learning_rate < math.inf:
            raise ValueError(f"learning_rate is {self.learning_rate}; it must be 0 (off) or a small positive number.")
        if not 0 <= self.start <= 1:
            raise ValueError(f"start is {self.start}; it must lie between 0 and 1 (0.8: after 80 % of the steps).")
        if self.window < 1:
            raise ValueError(f"window is {self.window}; it must be at least 1 iteration.")
        if not (self.slack >= 0 and self.min_improvement >= 0 and self.gate_sigma >= 0 and self.gate_tolerance >= 0):
            raise ValueError("slack, min_improvement, gate_sigma and gate_tolerance must be 0 or more.")
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1):
            raise ValueError("beta1 and beta2 must lie in [0, 1).")

    @property
    def is_active(self) -> bool:
        """False when nothing would move and it is left out."""
        return self.iterations > 0 and self.learning_rate > 0

    def first_step(self, steps: int) -> int | None:
        """The first of ``steps`` annealing steps that it follows; None for never."""
        return step_at(self.start, steps) if self.is_active else None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for the run's record."""
        return asdict(self)


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
    options: HardConsistencyOptions,
    mask: torch.Tensor | None = None,
    on_iteration: Callable[[], None] | None = None,
) -> Consistency:
    """Minimise every particle's residual, each with its own Adam and its own end.

    Args:
        z: clean latents ``[N, ...]`` in the model's own scale.
        likelihood: residual and gradient; its measurement says where the noise floor is.
        options: see :class:`HardConsistencyOptions`.
        mask: 1 where the latent may move, 0 where it is given; ``[1 or N, ...]``, broadcasts against ``z``.
        on_iteration: called before every iteration; raising from it ends the run.
    """
    measurement = likelihood.measurement
    target = measurement.noise_floor * (1 + options.slack * math.sqrt(2 / measurement.count))
    count = len(z)
    at, best = z.clone(), z.clone()
    first_moment, second_moment = torch.zeros_like(z), torch.zeros_like(z)
    residual = torch.full((count,), math.nan, device=z.device)
    history: list[list[float]] = [[] for _ in range(count)]
    stopped: list[str] = [BUDGET] * count
    rows = list(range(count))
    for t in range(1, options.iterations + 2):  # the last round only looks at where the last step led
        if on_iteration is not None:
            on_iteration()
        last = t > options.iterations
        if last:
            losses, gradient = likelihood.residual(at[rows]), None
        else:
            losses, gradient = likelihood.residual_and_gradient(at[rows])
            broken = ~gradient.flatten(1).isfinite().all(1)
            losses = torch.where(broken, math.nan, losses)
        going = []
        for place, (row, loss) in enumerate(zip(rows, losses.tolist(), strict=True)):
            if not math.isfinite(loss):
                stopped[row] = NOT_FINITE
                continue
            track = history[row]
            if not track or loss < min(track):
                best[row], residual[row] = at[row], losses[place].to(residual)
            track.append(loss)
            if loss <= target:
                stopped[row] = NOISE_FLOOR
            elif len(track) > options.window and loss > (1 - options.min_improvement) * track[-1 - options.window]:
                stopped[row] = PLATEAU
            elif not last:
                going.append(place)
        if not going:
            break
        rows = [rows[place] for place in going]
        g = gradient[going]
        first_moment[rows] = options.beta1 * first_moment[rows] + (1 - options.beta1) * g
        second_moment[rows] = options.beta2 * second_moment[rows] + (1 - options.beta2) * g.square()
        mean = first_moment[rows] / (1 - options.beta1**t)
        scale = (second_moment[rows] / (1 - options.beta2**t)).sqrt() + 1e-8
        move = -options.learning_rate * mean / scale
        at[rows] = at[rows] + (move if mask is None else move * (mask[rows] if len(mask) == count else mask))
    before = torch.tensor([track[0] if track else math.nan for track in history], device=z.device)
    # A row that became NaN or infinite goes back to where it was: nothing it found on the way is trusted.
    lost = torch.tensor([reason == NOT_FINITE for reason in stopped], device=z.device)
    best = torch.where(lost.reshape(-1, *[1] * (z.ndim - 1)), z, best)
    residual = torch.where(lost, before, residual)
    return Consistency(best, before, residual, [max(0, len(track) - 1) for track in history], stopped)


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
    return (z - denoise(alpha * z + sigma * noise, sigma)).flatten(1).square().mean(1).sqrt()
