r"""Linear, then quadratic in the image's share (Movie Gen, arXiv 2410.13720), for flow models.

Of a flow's path :math:`t = 1 - \sigma/\sigma_{max}` most is decided near pure noise. The first L steps go evenly to a
small threshold; the others continue with the same speed and grow,

.. math:: t_i = i\,\tau/L \;(i \le L), \qquad t_{L+j} = \tau + j\,\tau/L + c j^2, \qquad t_n = 1.
"""

from __future__ import annotations

import torch

from ..diffusion.keyword_options import takes
from ..diffusion.options import Option
from .checks import check_steps

__all__ = ["linear_quadratic"]

THRESHOLD = Option(
    "threshold",
    0.025,
    "The share of the way that the first half of the steps goes.",
    minimum=0.0001,
    maximum=0.5,
    step=0.001,
    advanced=True,
    added_later=True,
)


@takes(THRESHOLD)
def linear_quadratic(
    n: int, sigma_max: float = 1.0, *, threshold: float, linear_steps: int | None = None
) -> torch.Tensor:
    """``n`` steps from ``sigma_max`` to 0, ``[n + 1]``.

    Args:
        n: number of steps.
        sigma_max: where it starts, in the model's own units.
        linear_steps: how many there are; half of all if None.

    Raises:
        ValueError: n < 1, sigma_max <= 0, or a linear part that would go faster than the whole.
    """
    check_steps(n)
    if not sigma_max > 0:
        raise ValueError(f"sigma_max is {sigma_max:g}; it must be greater than 0.")
    if n == 1:
        return torch.tensor([sigma_max, 0.0])
    linear = n // 2 if linear_steps is None else linear_steps
    if not 1 <= linear < n:
        raise ValueError(f"linear_steps is {linear} of {n} steps; at least one must be linear and one quadratic.")
    if not threshold * n < linear:
        raise ValueError(
            f"threshold is {threshold:g}, which {linear} linear steps of {n} cannot start slowly to; "
            f"choose it between 0 and {linear / n:g}."
        )
    speed, rest = threshold / linear, n - linear
    c = (1 - speed * n) / rest**2
    i = torch.arange(n + 1, dtype=torch.float64)
    t = speed * i + c * (i - linear).clamp(min=0) ** 2
    t[-1] = 1.0
    return (sigma_max * (1 - t)).float()
