"""Adam on every row of a batch by itself: its own moments, its own end.

Kingma & Ba, arXiv 1412.6980, without weight decay. A row that has ended is frozen and leaves those that are computed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ...diffusion.tensors import per_row

__all__ = ["BUDGET", "NOISE_FLOOR", "NOT_FINITE", "PLATEAU", "Consistency", "RowsUnderAdam", "Rule"]

#: Why a row took no more steps.
NOISE_FLOOR, PLATEAU, BUDGET, NOT_FINITE = "noise floor", "plateau", "budget", "not finite"
EPSILON = 1e-8  # of Adam


@dataclass(frozen=True)
class Rule:
    """How far a row steps, and when it has ended.

    learning_rate, beta1, beta2: Adam's.
    target: the loss at which it is done.
    window, min_improvement: done as well when it improved by less than this share within so many steps.
    """

    learning_rate: float
    beta1: float
    beta2: float
    target: float
    window: int
    min_improvement: float


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


class RowsUnderAdam:
    """The rows of a batch under Adam; one that has ended is frozen and leaves those that are computed."""

    def __init__(self, z: torch.Tensor, rule: Rule, mask: torch.Tensor | None = None) -> None:
        """``z``: where the rows start, ``[N, ...]``; ``mask``: 1 where they may move, ``[1 or N, ...]``."""
        self._z, self._rule, self._mask = z, rule, mask
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
        if loss <= self._rule.target:
            return NOISE_FLOOR
        track, rule = self._history[row], self._rule
        if len(track) >= rule.window and loss > (1 - rule.min_improvement) * track[-rule.window]:
            return PLATEAU
        return None

    def advance(self, going: list[int], gradient: torch.Tensor, t: int) -> None:
        """Step ``t`` of Adam on the rows at places ``going``, whose gradient this is."""
        learning_rate, beta1, beta2 = self._rule.learning_rate, self._rule.beta1, self._rule.beta2
        self._going = rows = [self._going[place] for place in going]
        self._first_moment[rows] = beta1 * self._first_moment[rows] + (1 - beta1) * gradient
        self._second_moment[rows] = beta2 * self._second_moment[rows] + (1 - beta2) * gradient.square()
        mean = self._first_moment[rows] / (1 - beta1**t)
        scale = (self._second_moment[rows] / (1 - beta2**t)).sqrt() + EPSILON
        move = -learning_rate * mean / scale
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
