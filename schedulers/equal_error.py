r"""Steps spaced by measured curvature: the same estimated error in each.

Along the probability-flow ODE :math:`dx/d\sigma = (x - D)/\sigma` the path's second derivative is

.. math:: \frac{d^2x}{d\sigma^2} = -\frac{1}{\sigma}\frac{dD}{d\sigma},

in VE coordinates and, as it happens, in a flow model's own as well. An Euler step of length :math:`\Delta\sigma` errs
by half of it times :math:`\Delta\sigma^2`, so steps of equal error divide
:math:`W(\sigma) = \int |x''|^{1/2} d\sigma` evenly (the equidistribution principle of adaptive grids). D is what a
sampler reports to its callback: one run with enough steps is all the measurement it takes.
"""

from __future__ import annotations

import torch

from ..diffusion.keyword_options import takes
from ..diffusion.options import Option
from ..diffusion.tensors import rms
from .checks import check_steps

__all__ = ["FLOOR", "equal_error"]

FLOOR = Option(
    "floor",
    0.05,
    "Share of the steps that is spread evenly however straight the run was. Larger is more careful; 1 ignores the "
    "measurement.",
    above=0.0,
    maximum=1.0,
    step=0.01,
    advanced=True,
    added_later=True,
)


@takes(FLOOR)
def equal_error(n: int, sigmas: torch.Tensor, denoised: torch.Tensor, floor: float) -> torch.Tensor:
    """``n`` levels from the first recorded to the last, then 0: ``[n + 1]``.

    Args:
        n: number of steps.
        sigmas: recorded levels in the model's own units, falling, greater than 0, ``[m]``.
        denoised: D at each of them along one run, ``[m, ...]``; a mean over everything else is taken.
        floor: the share of W; it keeps steps from growing without bound where D happens to rest.

    Raises:
        ValueError: fewer than three records, sigmas that do not fall to above 0, D that is not finite, a floor outside
            (0, 1].
    """
    check_steps(n)
    if len(sigmas) < 3 or len(denoised) != len(sigmas):
        raise ValueError(
            f"the trajectory has {len(sigmas)} sigmas and {len(denoised)} predictions; record at least 3 of each."
        )
    sigmas = sigmas.double().cpu()
    if not bool((sigmas[1:] < sigmas[:-1]).all()) or not float(sigmas[-1]) > 0:
        raise ValueError("the trajectory's sigmas must fall and stay above 0; leave out the final 0.")
    change = rms(denoised[1:].double() - denoised[:-1].double()).cpu()
    if not bool(torch.isfinite(change).all()):
        raise ValueError("the trajectory's predictions contain NaN or infinity; record a run that worked.")
    # With dD/dsigma constant between two records, |x''| is c/sigma there, and W is linear in sqrt(sigma).
    root = sigmas.sqrt()
    span = root[:-1] - root[1:]
    w = 2 * (change / (sigmas[:-1] - sigmas[1:])).sqrt() * span
    even = span / span.sum()
    w = even if float(w.sum()) == 0.0 else (1 - floor) * w / w.sum() + floor * even
    total = torch.cat([w.new_zeros(1), w.cumsum(0)])
    wanted = torch.linspace(0, 1, n, dtype=torch.float64) * total[-1]
    k = torch.searchsorted(total, wanted, right=True).clamp(1, len(w)) - 1
    levels = (root[k] - (wanted - total[k]) / w[k] * span[k]).square()
    levels[0] = sigmas[0]
    if n > 1:
        levels[-1] = sigmas[-1]
    return torch.cat([levels, levels.new_zeros(1)]).float()
