r"""Gradient estimation (Permenter and Yuan, arXiv 2306.04848), plain and with CFG++.

Sampling seen as gradient descent on the distance to the data: :math:`\varepsilon = (x - D)/s` estimates its gradient,
and two estimates in a row make a better one, :math:`\varepsilon + (\gamma - 1)(\varepsilon - \varepsilon_{last})`. In
VE coordinates

.. math:: x' = D + s' \varepsilon + (\gamma - 1)(s' - s)(\varepsilon - \varepsilon_{last}),

which in the model's own is :math:`x' = \alpha' D + \sigma' \varepsilon + (\gamma - 1)(\sigma' - \alpha' s)(\varepsilon
- \varepsilon_{last})` with :math:`\varepsilon = (x - \alpha u)/\sigma`. The first step has no correction and the last
returns D. With CFG++ (arXiv 2406.08070) u is the unconditional prediction; gamma = 1 is Euler, with CFG++ or without.

Seen as a multistep method, gamma = 1.5 is Adams–Bashforth's second-order step where neighbouring steps are of nearly
equal length. The published gamma = 2 has Euler's order and in the limit its constant; at few steps it is better.
"""

from __future__ import annotations

import torch

from ..diffusion.options import Option
from .comfyui_exact import FORM, comfyui_gradient_estimation, is_comfyui_form
from .convention import cfg_pp, sampler
from .run import Run
from .steps import weighted_sum

__all__ = ["sample_gradient_estimation", "sample_gradient_estimation_cfg_pp"]

GE_GAMMA = Option(
    "ge_gamma",
    2.0,
    "How far the newest direction is trusted over the last one: 1 is Euler, 2 is published, 1.5 converges fastest.",
    minimum=-2.0,
    maximum=5.0,
    step=0.01,
)


@sampler(GE_GAMMA, FORM)
def sample_gradient_estimation(run: Run, ge_gamma: float, form: str) -> torch.Tensor:
    """Gradient estimation. Order 1 (2 at gamma = 1.5). On a flow model ComfyUI's own CFG++ form is wrong."""
    if is_comfyui_form(form):
        return comfyui_gradient_estimation(run, ge_gamma)
    x, eps_last = run.x, None
    for step in run.steps():
        D, u = run.predict(x, step)
        eps = step.noise(x, u)
        c = 0.0
        if eps_last is not None and step.is_finite:
            c = (ge_gamma - 1) * (step.sigma_next - step.alpha_next * step.s)
        x = weighted_sum((step.alpha_next, D), (step.sigma_next, eps), (c, eps), (-c, eps_last))
        eps_last = eps
    return x


sample_gradient_estimation_cfg_pp = cfg_pp(sample_gradient_estimation)
