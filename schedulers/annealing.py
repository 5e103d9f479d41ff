r"""Annealing levels that are uniform in :math:`\sigma^{1/\rho}` (Karras et al., arXiv 2206.00364, equation 5).

.. math:: \sigma_i = \left(\sigma_{max}^{1/\rho} + \tfrac{i}{n-1}
          (\sigma_{min}^{1/\rho} - \sigma_{max}^{1/\rho})\right)^{\rho}, \qquad i = 0 \dots n-1.

DAPS (arXiv 2407.01521) anneals along it with :math:`\rho = 7`: latent 50 levels from 10 to 0.1, pixels 200 from 100 to
0.1, and a last hop to 0. Its official code computes one level more and puts 0 in the place of the last, so that it
anneals to 0.1138 rather than 0.1 and its levels lie up to 14 % above these: ``drop_sigma_min``. These are VE noise
levels; a flow model needs ``CONST.sigma_from_ve`` of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..diffusion.keyword_options import takes
from ..diffusion.options import Option, Options, option
from .checks import check_range, check_steps, finish

__all__ = ["Annealing", "poly_rho"]

RHO = Option(
    "rho",
    7.0,
    "1 spaces evenly in sigma; larger spends more steps at small noise.",
    minimum=0.1,
    maximum=100.0,
    step=0.1,
    advanced=True,
    added_later=True,
)


@takes(RHO)
def poly_rho(
    n: int,
    sigma_min: float,
    sigma_max: float,
    rho: float,
    end_at_zero: bool = True,
    drop_sigma_min: bool = False,
) -> torch.Tensor:
    """``n`` levels from ``sigma_max`` down to ``sigma_min``, then 0 if ``end_at_zero``.

    Args:
        n: number of levels, the final 0 not counted; 1 gives ``sigma_max`` alone.
        sigma_min: smallest level, greater than 0, in VE units.
        sigma_max: largest level, greater than ``sigma_min``.
        end_at_zero: append the clean level.
        drop_sigma_min: the first ``n`` of ``n`` + 1 levels, as the official code of DAPS: ``sigma_min`` itself is left
            out, and the last level lies above it.

    Returns:
        float32 ``[n + 1]``, or ``[n]`` without the zero. The two ends are exact.

    >>> poly_rho(50, 0.1, 10.0)[-2:].tolist() == [torch.tensor(0.1).item(), 0.0]
    True
    >>> round(poly_rho(50, 0.1, 10.0, drop_sigma_min=True)[-2].item(), 4)
    0.1138

    Raises:
        ValueError: n < 1, rho outside its range, or not 0 < sigma_min < sigma_max < infinity.
    """
    check_steps(n)
    check_range(sigma_min, sigma_max)
    # In double precision: rho = 7 raises the rounding of a float32 ramp to the seventh power.
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    if not drop_sigma_min:
        return finish(torch.linspace(high, low, n, dtype=torch.float64) ** rho, sigma_max, sigma_min, end_at_zero)
    levels = torch.linspace(high, low, n + 1, dtype=torch.float64)[:-1] ** rho
    return finish(levels, sigma_max, levels[-1].item(), end_at_zero)


@dataclass(frozen=True)
class Annealing(Options):
    """The annealing of DAPS in VE units, as it is set on its node."""

    steps: int = option(50, "Annealing steps; time grows with them.", minimum=1, maximum=10_000)
    sigma_max: float = option(
        10.0, "First noise level (latents 10, pixels 100).", minimum=1e-4, maximum=10_000.0, step=0.01
    )
    sigma_min: float = option(
        0.1,
        "Last noise level before 0 (published 0.1; 0.05 for the Emoji prior).",
        minimum=1e-5,
        maximum=1_000.0,
        step=0.001,
    )
    rho: float = option(7.0, f"{RHO.description} Usual: 7.", minimum=RHO.minimum, maximum=RHO.maximum, step=RHO.step)
    drop_sigma_min: bool = option(
        False,
        "On: the levels of the official DAPS code, which leaves sigma_min itself out and ends above it (0.1138 for 0.1 "
        "and 50 steps). Needed to replicate it, for nothing else.",
        advanced=True,
        added_later=True,
    )

    def sigmas(self) -> torch.Tensor:
        """The levels ``[steps + 1]``; see :func:`poly_rho`."""
        return poly_rho(self.steps, self.sigma_min, self.sigma_max, self.rho, drop_sigma_min=self.drop_sigma_min)
