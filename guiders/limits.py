"""Limits on classifier-free guidance, each as a change of the guided prediction D with c, the conditional one.

* interval (Kynkäänniemi et al., arXiv 2404.07724): guidance only at medium noise levels; elsewhere D' = c.
* clamp (the norm threshold of Sadat et al., arXiv 2410.02416, relative to c): rms(D' - c) at most a share of rms(c).
* rescale (Lin et al., arXiv 2305.08891, section 3.4): against burnt colours,
  D' = phi · D · std(c)/std(D) + (1 - phi) · D.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..diffusion.options import Options, option
from ..diffusion.tensors import per_row, rms

__all__ = ["GuidanceLimits"]


@dataclass(frozen=True)
class GuidanceLimits(Options):
    """What guidance may do; the defaults allow everything.

    The interval is given as shares of the model's noise levels, 0 the noisiest and 1 the cleanest.
    """

    rescale: float = option(
        0.0,
        "Brings the contrast of the guided prediction back to that of the unguided one. 0: off. Usual: 0.7.",
        minimum=0.0,
        maximum=1.0,
        step=0.05,
    )
    clamp: float = option(
        0.0,
        "Largest change that guidance may make, as a share of the prediction's size. Plot Guidance shows what it is "
        "without a limit. 0: off.",
        minimum=0.0,
        maximum=100.0,
        step=0.05,
    )
    start_percent: float = option(
        0.0,
        "Where guidance starts, as in the ControlNet nodes: 0 is the noisiest level of the model. Before it the "
        "negative is not even computed.",
        minimum=0.0,
        maximum=1.0,
        step=0.01,
    )
    end_percent: float = option(
        1.0,
        "Where guidance ends; 1 is the cleanest level of the model.",
        minimum=0.0,
        maximum=1.0,
        step=0.01,
    )

    def check(self) -> None:
        """Raise a ``ValueError`` for a value that is not allowed, or an interval without a level."""
        super().check()
        if self.start_percent >= self.end_percent:
            raise ValueError(
                f"start_percent is {self.start_percent} and end_percent {self.end_percent}; "
                "they must be between 0 and 1, the start before the end."
            )

    @property
    def has_interval(self) -> bool:
        """Whether there are noise levels without guidance."""
        return (self.start_percent, self.end_percent) != (0.0, 1.0)

    def apply(self, guided: torch.Tensor, cond: torch.Tensor) -> torch.Tensor:
        """D' from D and c, ``[N, ...]`` each; D itself when neither clamp nor rescale is on. Rows do not mix."""
        result = guided
        if self.clamp > 0:
            difference = result - cond
            share = per_row(self.clamp * rms(cond) / rms(difference), cond)  # infinite where there is no difference
            result = torch.where(share < 1, cond + share * difference, result)
        if self.rescale > 0:
            factor = _std(cond) / _std(result)
            factor = per_row(torch.where(torch.isfinite(factor), factor, torch.ones_like(factor)), cond)
            result = result * (self.rescale * factor + 1 - self.rescale)
        return result


def _std(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(1).std(1)
