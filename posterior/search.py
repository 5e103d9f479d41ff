"""The two moments at which a run of particles is more than its particles: when some are dropped, and when they are
held to the measurement. Each object keeps what has to be remembered between annealing steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..diffusion.parameterization import Parameterization
from ..diffusion.particle_noise import ParticleNoise
from ..operators import Operator
from .likelihood import Likelihood
from .moves.hard_consistency import HardConsistencyOptions, hard_consistency, prior_residual
from .moves.pruning import PruningOptions, prune

__all__ = ["Polishing", "PruningOfRun", "SelectRows", "select_mask_rows"]

#: (model, extra_args, rows that go on, number of rows so far) -> (model, extra_args) for those rows.
SelectRows = Callable[[Callable[..., torch.Tensor], dict[str, Any], list[int], int], tuple[Any, dict[str, Any]]]


def select_mask_rows(
    model: Callable[..., torch.Tensor], extra_args: dict[str, Any], rows: list[int], count: int
) -> tuple[Callable[..., torch.Tensor], dict[str, Any]]:
    """The same model; a ``denoise_mask`` with one row a particle keeps the rows that go on."""
    mask = extra_args.get("denoise_mask")
    if mask is not None and len(mask) == count > 1:
        extra_args = {**extra_args, "denoise_mask": mask[rows]}
    return model, extra_args


class PruningOfRun:
    """When pruning is due, whom it drops, and what the particles are called.

    names: of the particles in the batch, by row. A particle keeps its number through the run; a copy gets a new one,
        which is also the number of its stream in :class:`ParticleNoise`.
    rows: rows that went on at the last :meth:`choose`.
    """

    def __init__(
        self, options: PruningOptions | None, sigmas_ve: list[float], count: int, seed: int, operator: Operator
    ) -> None:
        self.names = list(range(count))
        self.rows = list(range(count))
        self.done = False
        self._options, self._operator, self._created = options, operator, count
        active = options is not None and 0 < options.keep < count
        self._step = options.step(sigmas_ve) if active else None
        # A stream of its own, so that resampling takes no number from the particles.
        self._noise = ParticleNoise(seed, "pruning")

    def is_due(self, i: int) -> bool:
        """Whether particles are dropped after annealing step ``i``."""
        return i == self._step

    def choose(self, residual: torch.Tensor, images: torch.Tensor) -> dict[str, Any]:
        """Decide; afterwards ``rows`` go on, ``names`` are theirs. Returns who was dropped and why, for the record."""
        operator = self._operator
        uniform = float(torch.special.ndtr(self._noise(torch.zeros(1, 1, dtype=torch.float64))))
        pruned = prune(
            residual,
            images,
            self._options,
            operator.symmetries,
            operator.shift_symmetric,
            operator.background,
            uniform=min(uniform, 1 - 1e-12),
        )
        before, self.rows, self.done = self.names, pruned.rows, True
        self.names, copies = [], []
        for row in pruned.rows:
            name = before[row]
            if name in self.names:
                copies.append({"particle": self._created, "parent": name})
                name, self._created = self._created, self._created + 1
            self.names.append(name)
        dropped = [{"particle": before[row], "reason": reason} for row, reason in pruned.reasons.items()]
        return {"kept": list(self.names), "dropped": dropped, "new": copies}


class Polishing:
    """Hard consistency with its gate, from a given step on.

    A move is accepted when the residual fell and the denoiser's own residual did not grow by more than the tolerance;
    otherwise the particle stays where the chain left it.
    """

    def __init__(
        self,
        options: HardConsistencyOptions | None,
        steps: int,
        parameterization: Parameterization,
        likelihood: Likelihood,
        seed: int,
    ) -> None:
        self._options, self._parameterization, self._likelihood = options, parameterization, likelihood
        self._first = None if options is None else options.first_step(steps)
        # A stream of its own: whether anybody is polished changes nobody's path.
        self.noise = ParticleNoise(seed, "hard consistency")

    def is_due(self, i: int) -> bool:
        """Whether annealing step ``i`` ends with hard consistency."""
        return self._first is not None and i >= self._first

    def __call__(
        self,
        z: torch.Tensor,
        denoise: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        mask: torch.Tensor | None,
        on_iteration: Callable[[], None] | None,
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        """``z`` ``[N, ...]`` with the accepted rows moved, and what happened, by row, for the record."""
        found = hard_consistency(z, self._likelihood, self._options, mask, on_iteration)
        accepted = found.improved
        noise = self.noise(z)  # drawn whether it is needed or not, so that rows do not depend on each other
        if self._options.gate_sigma > 0 and bool(accepted.any()):
            # Only the rows that moved are asked about, but the model is called with all: it may know its rows.
            sigma = self._parameterization.sigma_from_ve(z.new_tensor(self._options.gate_sigma))
            alpha = self._parameterization.alpha(sigma)
            noise = self._parameterization.noise_deviation(noise)
            doubt, doubt_before = (prior_residual(at, noise, denoise, sigma, alpha) for at in (found.z, z))
            accepted = accepted & (doubt <= (1 + self._options.gate_tolerance) * doubt_before)
        moved = torch.where(accepted.reshape(-1, *[1] * (z.ndim - 1)), found.z, z)
        facts = {
            "residual_before": found.before.tolist(),
            "residual": torch.where(accepted, found.residual, found.before).tolist(),
            "iterations": found.iterations,
            "stopped": found.stopped,
            "accepted": accepted.tolist(),
        }
        return moved, facts
