r"""Levels that are uniform in half log-SNR, :math:`\lambda = \log(\alpha/\sigma) = -\log s`.

Every step multiplies the noise by one factor, :math:`s_{i+1} = s_i (s_{min}/s_{max})^{1/(n-1)}`: the spacing that
exponential integrators such as DPM-Solver (Lu et al., arXiv 2206.00927) are made for.
"""

from __future__ import annotations

import math

import torch

from .checks import check_range, check_steps, finish

__all__ = ["uniform_half_log_snr"]


def uniform_half_log_snr(n: int, sigma_min: float, sigma_max: float, end_at_zero: bool = True) -> torch.Tensor:
    """``n`` VE noise levels from ``sigma_max`` to ``sigma_min``, even in their logarithm, then 0 if ``end_at_zero``.

    A flow model's sigma is ``CONST.sigma_from_ve`` of them; its pure noise (infinite here) cannot be the start.

    Raises:
        ValueError: n < 1, or not 0 < sigma_min < sigma_max < infinity.
    """
    check_steps(n)
    check_range(sigma_min, sigma_max)
    levels = torch.linspace(math.log(sigma_max), math.log(sigma_min), n, dtype=torch.float64).exp()
    return finish(levels, sigma_max, sigma_min, end_at_zero)
