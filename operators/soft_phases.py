r"""Error reduction that knows how much a phase is worth.

Error reduction puts the measured amplitude y on the current phase :math:`U/|U|`. That trusts the phase fully, however
wrong U is, and so freezes its errors. Let the true value differ from U by a circular Gaussian of variance v (see
``misfit.py``). Given its amplitude y, its phase :math:`\theta` then has a von Mises density around that of U,

.. math:: p(\theta) \propto \exp(\kappa \cos(\theta - \arg U)), \qquad \kappa = 2 y |U| / v,

so the posterior mean of the true value is

.. math:: y\, A(\kappa)\, U/|U|, \qquad A(\kappa) = I_1(\kappa)/I_0(\kappa),

with A, the trust in the phase, near 1 where :math:`\kappa` is large and 0 where nothing is known. Back in the frame,
cut to the image, it is E(u): what the measurement says the object is. A Gaussian :math:`N(u_0, s^2)` of the object and
noise of variance :math:`\sigma^2` in y make of it

.. math:: u \leftarrow \frac{E(u) + w\,u_0}{1 + w}, \qquad w = \sigma^2/s^2.

Because :math:`y A = \partial_{|U|}\, \tfrac v2 \log I_0(2y|U|/v)` and :math:`\log I_0` is convex, each such step is one
of majorisation and minimisation, and never raises

.. math:: J(u) = \frac{1}{2\sigma^2} \sum_k \Big(|U|^2 - v \log I_0(2y|U|/v)\Big) + \frac{\|u - u_0\|^2}{2 s^2},

whose first part is Rice's likelihood of y, the phases integrated out, to the power :math:`v/2\sigma^2`. At the minimum
:math:`\nabla_{u_0} J = (u_0 - u)/s^2`. A = 1 (v = 0) is error reduction with a proximal term. Dead frequencies keep U.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from .half_spectrum import HalfSpectrum

__all__ = ["phase_trust", "soft_error_reduction", "solve"]

#: Beyond it the trust is 1 to the last digit; its square is still a number.
LARGEST_KAPPA = 1e17


def phase_trust(kappa: torch.Tensor) -> torch.Tensor:
    r""":math:`I_1(\kappa)/I_0(\kappa)`, within 0.005 and a tenth of the time of two Bessel functions.

    Two rounds of the ratio's continued fraction, :math:`I_{n+1}/I_n = 1/(2(n+1)/\kappa + I_{n+2}/I_{n+1})`, closed by
    Amos' bound :math:`I_3/I_2 \approx \kappa/(5/2 + \sqrt{\kappa^2 + 49/4})` (Math. Comp. 28, 1974).
    """
    kappa = kappa.clamp_max(LARGEST_KAPPA)
    square = kappa.square()
    return kappa / (2 + square / (4 + square / (2.5 + (square + 12.25).sqrt())))


def soft_error_reduction(u: torch.Tensor, data: HalfSpectrum, v: torch.Tensor | None) -> torch.Tensor:
    """E(u), objects ``[N, C, H, W]``. ``v``: variances ``[N, C, h, w // 2 + 1]``; None trusts every phase."""
    spectrum = data.transform(u)
    amplitude = spectrum.abs()
    target = data.mean if v is None else data.mean * phase_trust((2 * data.mean) * amplitude / v)
    scale = target / amplitude.clamp_min(1e-12)
    if not bool((data.recorded == 2).all()):
        valid = data.recorded / 2  # half, where only one of the two recordings is
        scale = valid * scale + (1 - valid)
    return data.adjoint(scale * spectrum)


def solve(
    expected: Callable[[torch.Tensor], torch.Tensor],
    u0: torch.Tensor,
    weight: torch.Tensor,
    limits: tuple[float, float],
    iterations: int,
    start: torch.Tensor | None = None,
    momentum: bool = True,
) -> torch.Tensor:
    """Repeat u <- (E(u) + w u0)/(1 + w), clamped to ``limits``; with Nesterov's momentum it takes fewer rounds.

    Args:
        expected: E.
        u0: the prior's mean ``[N, C, H, W]``. weight: w, broadcasts to it; infinite where u is to stay u0.
        start: u0 if None.
    """
    u = ahead = u0 if start is None else start
    t = 1.0
    for _ in range(iterations):
        # (E + w u0)/(1 + w), in the form that is u0 at w = infinity.
        new = (u0 + (expected(ahead) - u0) / (1 + weight)).clamp(*limits)
        if momentum:
            t, before = (1 + math.sqrt(1 + 4 * t * t)) / 2, t
            ahead = new + (before - 1) / t * (new - u)
        else:
            ahead = new
        u = new
    return u
