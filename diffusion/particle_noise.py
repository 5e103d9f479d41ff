"""Standard normal noise with one stream of random numbers per particle.

One generator for a whole batch would give item k other numbers in a batch of two than in a batch of four. Here item k
has a generator of its own, seeded from (seed, stream, k): a particle's path is the same whatever stands beside it, and
stays the same when others are pruned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch

__all__ = ["ParticleNoise"]


class ParticleNoise:
    """``noise(x)``: a fresh standard normal draw shaped, typed and placed like ``x`` ``[N, ...]``.

    Every call advances each particle's stream. Numbers are drawn on the CPU in float32 and then moved and cast, so a
    run does not change with the device or with half precision.

    Args:
        seed: the graph's seed, any integer.
        stream: a name for the use, so that two users of one seed draw independent numbers ("sampler", "restart", ...).

    >>> two, four = ParticleNoise(7)(torch.empty(2, 3)), ParticleNoise(7)(torch.empty(4, 3))
    >>> torch.equal(two, four[:2])
    True
    """

    def __init__(self, seed: int, stream: str = "sampler") -> None:
        self.seed = int(seed)
        self.stream = stream
        self._generators: list[torch.Generator] = []
        self._created = 0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Noise like ``x``; its first dimension counts the particles."""
        self._provide(len(x))
        noise = torch.empty(x.shape, dtype=torch.float32)
        for row, generator in zip(noise, self._generators, strict=False):
            row.normal_(generator=generator)
        return noise.to(device=x.device, dtype=x.dtype)

    def keep(self, particles: Iterable[int]) -> None:
        """Forget the streams of all but these particles (row numbers now, in the order they will have).

        Call it when rows of the batch are pruned or reordered, so that each survivor keeps its own stream. A row that
        is named again is a copy, which gets a new stream: two rows cannot share one.
        """
        particles = list(particles)
        self._provide(max(particles, default=-1) + 1)
        kept: list[torch.Generator] = []
        for place, particle in enumerate(particles):
            if particle in particles[:place]:
                kept.append(self._generator(self._created))
                self._created += 1
            else:
                kept.append(self._generators[particle])
        self._generators = kept

    def _provide(self, count: int) -> None:
        while len(self._generators) < count:
            self._generators.append(self._generator(self._created))
            self._created += 1

    def _generator(self, particle: int) -> torch.Generator:
        # Hashed, because neighbouring seeds (seed + k) would repeat between runs with neighbouring graph seeds.
        digest = hashlib.sha256(f"{self.seed}/{self.stream}/{particle}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") & (2**63 - 1))
