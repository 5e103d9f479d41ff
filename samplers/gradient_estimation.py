r"""Gradient estimation (Permenter and Yuan, arXiv 2306.04848), plain and with CFG++.

Sampling seen as gradient descent on the distance to the data: :math:`d = (x - D)/s` estimates its gradient, and two
estimates in a row make a better one, :math:`\bar d = d + (\gamma - 1)(d - d_{last})`. In VE coordinates

.. math:: x' = D + s' d + (\gamma - 1)(d - d_{last})(s' - s),

which in the model's own is :math:`x' = \alpha' D + \sigma' d + (\gamma - 1)(d - d_{last})(\sigma' - \alpha' s)` with
:math:`d = (x - \alpha u)/\sigma`. The first step has no correction and the last returns D. With CFG++ (arXiv
2406.08070) u is the unconditional prediction; gamma = 1 is Euler, with CFG++ or without.

Seen as a multistep method, gamma = 1.5 is Adams–Bashforth's second-order step where neighbouring steps are of nearly
equal length. The published gamma = 2 has Euler's order and in the limit its constant; at few steps it is better.
"""

from __future__ import annotations

import math

import torch

from .comfyui_exact import core_gradient_estimation, is_comfyui_form
from .convention import cfg_pp, sampler
from .run import Run
from .steps import blend

__all__ = ["sample_gradient_estimation", "sample_gradient_estimation_cfg_pp"]


@sampler
def sample_gradient_estimation(run: Run, ge_gamma: float = 2.0, form: str = "auto") -> torch.Tensor:
    """Gradient estimation. Order 1 (2 at gamma = 1.5).

    ge_gamma: 1 is Euler; 2 is published. form: "auto" is right on every model; "comfyui" repeats ComfyUI's own
    numbers, also where they are wrong (CFG++ on a flow model), for pictures made with it.
    """
    if not math.isfinite(ge_gamma):
        raise ValueError(f"ge_gamma is {ge_gamma}; give a finite number (2 is published, 1 is Euler).")
    if is_comfyui_form(form):
        return core_gradient_estimation(run, ge_gamma)
    x, d_last = run.x, None
    for step in run.steps():
        D, u = run.predict(x, step)
        d = blend((1 / step.sigma, x), (-step.alpha / step.sigma, u))
        correction = 0.0
        if d_last is not None and step.is_finite:
            correction = (ge_gamma - 1) * (step.sigma_next - step.alpha_next * step.s)
        x = blend((step.alpha_next, D), (step.sigma_next, d), (correction, d), (-correction, d_last))
        d_last = d
    return x


sample_gradient_estimation_cfg_pp = cfg_pp(sample_gradient_estimation)
