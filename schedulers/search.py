r"""The noise levels of a search: one look at large noise, an even descent, a few last levels for a fit.

Both stretches are evenly spaced in :math:`\log\sigma`. What a picture is in the large is decided where the noise is
about as strong as the latents (:math:`\sigma` from 2 down to 0.5); levels above and below only prepare and polish, so
an annealing from 10 to 0.1 spends most of its steps where nothing is decided. These are VE noise levels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from ..diffusion.options import Options, option

__all__ = ["SearchLevels"]

LIMITS: dict[str, Any] = {"above": 0.0, "maximum": 1000.0}


@dataclass(frozen=True)
class SearchLevels(Options):
    """Levels for the recipe of phase retrieval, as they are set on their node."""

    sigma_first: float = option(6.0, "First noise level: one look where nothing is known yet.", step=0.5, **LIMITS)
    sigma_high: float = option(2.0, "Second noise level: the search begins here.", step=0.1, **LIMITS)
    sigma_low: float = option(
        0.25,
        "Last noise level of the search; the fit begins below it. Give Two Stages the same.",
        step=0.01,
        **LIMITS,
    )
    sigma_last: float = option(0.05, "Last noise level before 0.", step=0.01, **LIMITS)
    search_steps: int = option(
        20,
        "Noise levels from sigma_high to sigma_low, evenly spaced in log sigma; time grows with them.",
        minimum=2,
        maximum=10_000,
    )
    fit_steps: int = option(
        3, "Noise levels below sigma_low, the last one sigma_last. 0: none.", minimum=0, maximum=10_000
    )

    def check(self) -> None:
        super().check()
        names = ("sigma_first", "sigma_high", "sigma_low", "sigma_last")
        for above, below in pairwise(names):
            if not getattr(self, above) > getattr(self, below):
                raise ValueError(
                    f"{above} is {getattr(self, above):g} and {below} {getattr(self, below):g}; choose a larger "
                    f"{above}, because the noise falls."
                )

    def sigmas(self) -> torch.Tensor:
        """VE levels ``[search_steps + fit_steps + 2]``, float32, the last one 0.

        >>> SearchLevels(search_steps=3, fit_steps=1).sigmas()
        tensor([6.0000, 2.0000, 0.7071, 0.2500, 0.0500, 0.0000])
        """
        search = _evenly(self.sigma_high, self.sigma_low, self.search_steps)
        # The fit's levels go on from the search's last one, which is not repeated.
        fit = _evenly(self.sigma_low, self.sigma_last, self.fit_steps + 1)[1:]
        return torch.tensor([self.sigma_first, *search, *fit, 0.0])


def _evenly(high: float, low: float, count: int) -> list[float]:
    """``count`` levels, evenly spaced in their logarithm, both ends exact."""
    levels = torch.logspace(math.log10(high), math.log10(low), count, dtype=torch.float64).tolist()
    return [high, *levels[1:-1], low] if count > 1 else [high]
