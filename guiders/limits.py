"""Limits on classifier-free guidance, each as a change of the guided prediction D with c, the conditional one.

* interval (Kynkäänniemi et al., arXiv 2404.07724): guidance only at medium noise levels; elsewhere D' = c.
* clamp (the norm threshold of Sadat et al., arXiv 2410.02416, relative to c): rms(D' - c) at most a share of rms(c).
* rescale (Lin et al., arXiv 2305.08891, section 3.4): against burnt colours,
  D' = phi · D · std(c)/std(D) + (1 - phi) · D.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["GuidanceLimits", "rms"]


@dataclass(frozen=True)
class GuidanceLimits:
    """What guidance may do; the defaults allow everything.

    rescale: phi in [0, 1]; 0 is off.
    clamp: largest share of rms(c); 0 is off.
    start_percent, end_percent: the interval as shares of the model's noise levels, 0 the noisiest, 1 the cleanest.
    """

    rescale: float = 0.0
    clamp: float = 0.0
    start_percent: float = 0.0
    end_percent: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.rescale <= 1:
            raise ValueError(f"rescale is {self.rescale}; it must lie between 0 (off) and 1.")
        if not 0 <= self.clamp < float("inf"):
            raise ValueError(f"clamp is {self.clamp}; it must be 0 (off) or a positive share of the prediction's size.")
        if not 0 <= self.start_percent < self.end_percent <= 1:
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
            share = self.clamp * rms(cond) / rms(difference)  # infinite where there is no difference
            result = torch.where(share < 1, cond + share * difference, result)
        if self.rescale > 0:
            factor = _std(cond) / _std(result)
            factor = torch.where(torch.isfinite(factor), factor, torch.ones_like(factor))
            result = result * (self.rescale * factor + 1 - self.rescale)
        return result


def rms(x: torch.Tensor) -> torch.Tensor:
    """Root mean square of each row, ``[N, 1, ...]``."""
    return x.square().mean(tuple(range(1, x.ndim)), keepdim=True).sqrt()


def _std(x: torch.Tensor) -> torch.Tensor:
    return x.std(tuple(range(1, x.ndim)), keepdim=True)
