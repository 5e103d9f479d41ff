"""The loop of every posterior sampler here: four lines per noise level.

1. estimate: what the prior takes for the clean latents;
2. data step: what the measurement makes of them;
3. moves: what else is due (prune, polish, ...);
4. renoise: down to the next level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from .interaction.forces import pairwise_distance
from .level import Level
from .method import Method
from .part import Move
from .particles import Particles

__all__ = ["sample_posterior"]

#: Given, once per step, a dict with ``x, i, sigma, sigma_hat, denoised``, as k-diffusion has it.
Callback = Callable[[dict[str, Any]], None]


@torch.no_grad()
def sample_posterior(
    particles: Particles, levels: Iterable[Level], method: Method, callback: Callback | None = None
) -> torch.Tensor:
    """Take ``particles`` through ``levels`` and return their latents ``[N, ...]`` at the end of the last one.

    Particles whose rows are dropped by a move are missing from the result; ``particles.names`` says who is left.
    """
    for level in levels:
        level.enter("explore" if len(particles) == particles.started_with else "refine")
        level.observer.part(method.estimate.name)
        z0_hat = method.estimate(particles, level)
        level.observer.part(method.data_step.name)
        z0 = method.data_step(particles, z0_hat, level)
        level.observer.part("observe")
        due = [move for move in method.moves if move.is_due(level)]
        _observe(particles, z0_hat, z0, level, due)
        for move in due:
            level.observer.part(move.name)
            z0 = move(particles, z0, level)
        level.observer.part("observe")
        if level.is_last:
            _observe_result(particles, z0, level, shown=not due)
        if callback is not None:
            callback({"x": particles.x, "i": level.i, "sigma": level.sigma, "sigma_hat": level.sigma, "denoised": z0})
        level.observer.part(method.renoise.name)
        particles.x = method.renoise(particles, z0, level)
        level.seen = None  # pictures of a level that is over; a run's levels live as long as the run
    return particles.x


def _observe(particles: Particles, z0_hat: torch.Tensor, z0: torch.Tensor, level: Level, due: list[Move]) -> None:
    """Tell the observer what the step has come to; nothing is decoded for one that does not listen."""
    if not level.observer.listens:
        return
    # Nothing moves after the last step unless a move is due, so what is seen here is the result.
    precisely = level.is_last and not due
    seen = None if precisely else level.seen
    residual, images = seen or level.likelihood.evaluate(z0, precisely)
    level.report(
        particles=list(particles.names),
        residual=residual.tolist(),
        pairwise_distance=pairwise_distance(z0_hat),
        **level.facts,
    )
    level.observer.images(list(particles.names), images)


def _observe_result(particles: Particles, z0: torch.Tensor, level: Level, shown: bool) -> None:
    """Tell the observer what the run returns: one residual per particle, by which everybody chooses."""
    if not level.observer.listens:
        return
    images = particles.pictures
    if images is None:
        images = level.likelihood.evaluate(z0, precisely=True).images
    if not shown:
        level.observer.images(list(particles.names), images)
    residual = level.likelihood.residual_of_pictures(images)
    level.observer.final(list(particles.names), residual, particles.chosen)
