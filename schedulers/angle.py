r"""Levels that are uniform in the angle :math:`\theta = \arctan s`.

:math:`\cos\theta\, x_0 + \sin\theta\, \varepsilon` has unit variance when the image has: theta is the arc that a
variance-preserving latent travels. The same spacing minimises a bound on the KL divergence for Gaussian data (Sabour et
al., *Align Your Steps*, arXiv 2404.14507); ComfyUI calls it ``kl_optimal``.
"""

from __future__ import annotations

import math

import torch

from .checks import check_range, check_steps, finish

__all__ = ["uniform_angle"]


def uniform_angle(n: int, sigma_min: float, sigma_max: float, end_at_zero: bool = True) -> torch.Tensor:
    """``n`` VE noise levels from ``sigma_max`` to ``sigma_min``, even in their arctangent, then 0 if ``end_at_zero``.

    ``sigma_max`` may be infinite, which is a flow model's pure noise: ``CONST.sigma_from_ve`` makes it 1.

    Raises:
        ValueError: n < 1, or not 0 < sigma_min < sigma_max.
    """
    check_steps(n)
    check_range(sigma_min, sigma_max, may_be_infinite=True)
    levels = torch.linspace(math.atan(sigma_max), math.atan(sigma_min), n, dtype=torch.float64).tan()
    return finish(levels, sigma_max, sigma_min, end_at_zero)
