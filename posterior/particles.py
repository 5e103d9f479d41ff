"""Particles: everything that has one row per particle, so that dropping or copying one is a single call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..diffusion.observer import SILENT, Observer
from ..diffusion.particle_noise import ParticleNoise
from .interaction.features import FeatureSpace, LatentFeatures

__all__ = ["Denoiser", "Particles", "SelectRows", "select_mask_rows"]

Model = Callable[..., torch.Tensor]
#: (model, extra_args, rows that go on, number of rows so far) -> (model, extra_args) for those rows.
SelectRows = Callable[[Model, dict[str, Any], list[int], int], tuple[Model, dict[str, Any]]]


def select_mask_rows(
    model: Model, extra_args: dict[str, Any], rows: list[int], count: int
) -> tuple[Model, dict[str, Any]]:
    """The same model; a ``denoise_mask`` with one row per particle keeps the rows that go on."""
    mask = extra_args.get("denoise_mask")
    if mask is not None and len(mask) == count > 1:
        extra_args = {**extra_args, "denoise_mask": mask[rows]}
    return model, extra_args


class Denoiser:
    """D(x; sigma) of all particles: a k-diffusion model with its ``extra_args``, which may have rows too.

    Args:
        model: called as ``model(x, sigma, **extra_args)`` with sigma ``[N]``.
        extra_args: handed to the model; ``denoise_mask`` is the particles' mask.
        dtype: of the latents that the model is given.
        observer: is asked before every call whether the run is cancelled, and told of it.
        select_rows: how model and extra_args go on with some of their rows.
    """

    def __init__(
        self,
        model: Model,
        extra_args: dict[str, Any] | None = None,
        dtype: torch.dtype = torch.float32,
        observer: Observer = SILENT,
        select_rows: SelectRows = select_mask_rows,
    ) -> None:
        self.model, self.extra_args = model, {} if extra_args is None else extra_args
        self.dtype, self.observer, self._select_rows = dtype, observer, select_rows

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Clean latents ``[N, ...]`` in float32; ``sigma`` is 0-dimensional."""
        self.observer.raise_if_cancelled()
        self.observer.count(denoiser=len(x))
        return self.model(x.to(self.dtype), sigma * x.new_ones(len(x)), **self.extra_args).float()

    @property
    def mask(self) -> torch.Tensor | None:
        """1 where a latent may move, 0 where it is given; broadcasts against the latents."""
        return self.extra_args.get("denoise_mask")

    def keep(self, rows: list[int], count: int) -> None:
        """Go on with ``rows`` of ``count``."""
        self.model, self.extra_args = self._select_rows(self.model, self.extra_args, rows, count)


class Particles:
    """A batch of attempts at one inverse problem.

    x: noisy latents ``[N, ...]`` at the current level, float32.
    names: of the particles, by row. A particle keeps its number through the run; a copy gets a new one.
    denoise: D(x, sigma).
    noise: standard normal noise shaped like its argument, each particle from its own stream.
    features: in which the particles are told apart.
    broken: names whose chain ever failed.
    chosen: the name of the one that a move has chosen.
    pictures: ``[N, 3, H, W]`` in [-1, 1], where a move has made better ones than the decoder draws of the latents.
    """

    def __init__(
        self,
        x: torch.Tensor,
        denoise: Denoiser,
        seed: int = 0,
        noise: Callable[[torch.Tensor], torch.Tensor] | None = None,
        features: FeatureSpace | None = None,
    ) -> None:
        """``seed``: of every stream of noise; ``noise`` replaces the main one."""
        self.x, self.denoise, self.seed = x, denoise, seed
        self.noise = noise or ParticleNoise(seed)
        self.features = features or LatentFeatures()
        self.names = list(range(len(x)))
        self.pictures: torch.Tensor | None = None
        self.chosen: int | None = None
        self.broken: set[int] = set()
        self.started_with = self._created = len(x)
        self._streams: dict[str, ParticleNoise] = {}
        self._kept: list[list[int]] = []

    def __len__(self) -> int:
        return len(self.names)

    @property
    def mask(self) -> torch.Tensor | None:
        """See :attr:`Denoiser.mask`."""
        return self.denoise.mask

    def free(self, move: torch.Tensor) -> torch.Tensor:
        """``move`` ``[N, ...]`` where the latents may move; 0 where they are given."""
        return move if self.mask is None else move * self.mask

    def stream(self, name: str) -> ParticleNoise:
        """Noise for another use: drawing from it takes nothing from the particles' own stream, nor from another's."""
        if name not in self._streams:
            self._streams[name] = ParticleNoise(self.seed, name)
            for rows in self._kept:
                self._streams[name].keep(rows)
        return self._streams[name]

    def keep(self, rows: Sequence[int]) -> list[dict[str, int]]:
        """Go on with ``rows`` (one that is named twice goes on as two); whatever has rows follows.

        Returns the new names of copies, each as ``{"particle": name, "parent": name}``.
        """
        rows = list(rows)
        before, count = self.names, len(self)
        self.x = self.x[rows]
        self.pictures = None if self.pictures is None else self.pictures[rows]
        self.denoise.keep(rows, count)
        for stream in (self.noise, *self._streams.values()):
            if isinstance(stream, ParticleNoise):
                stream.keep(rows)
        self._kept.append(rows)
        self.names, copies = [], []
        for name in (before[row] for row in rows):
            if name in self.names:
                copies.append({"particle": self._created, "parent": name})
                name, self._created = self._created, self._created + 1
            self.names.append(name)
        return copies
