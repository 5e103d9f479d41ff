r"""DPM-Solver++(2S) ancestral (Lu et al., arXiv 2211.01095), plain and with CFG++.

Two model calls per step: one at the start, one at the midpoint in half log-SNR, :math:`s_m = \sqrt{s s'}`, reached by
an Euler step. In VE coordinates

.. math:: x_m = D + e^{-h/2}(x - u), \qquad x' = e^{-h}(x + D - u) + (1 - e^{-h})\, D_m,

and in the model's own, with :math:`\varepsilon = (x - \alpha u)/\sigma`,

.. math:: x_m = \alpha_m D + \sigma_m \varepsilon, \qquad
          x' = \alpha' D + \sigma' \varepsilon + \alpha' (1 - e^{-h}) (D_m - D).

Without guidance u = D. The ancestral form aims at a lower level and adds noise (:meth:`Step.split`). Where h is
infinite, at the last step and at a flow model's first from pure noise, the step is Euler's and takes one call.

This is not the published CFG++ form: the authors' code (github CFGpp-diffusion/CFGpp) goes to the midpoint with u
alone, :math:`u + e^{-h/2}(x - u)`, and ends at :math:`D_m + e^{-h}(x - u_m)`. ComfyUI's takes u from the midpoint but D
from the start; the two then differ also without guidance, and it does not reduce to the plain sampler. Here both are
from the start.
"""

from __future__ import annotations

import math

import torch

from .convention import cfg_pp, sampler
from .options import ETA, S_NOISE
from .run import Run
from .steps import weighted_sum, weighted_sum_

__all__ = ["sample_dpmpp_2s_ancestral", "sample_dpmpp_2s_ancestral_cfg_pp"]


@sampler(ETA, S_NOISE)
def sample_dpmpp_2s_ancestral(run: Run, eta: float, s_noise: float) -> torch.Tensor:
    """DPM-Solver++(2S), order 2 at eta = 0, with ancestral noise."""
    x = run.x
    for step in run.steps(may_rise=eta == 0.0):
        D, u = run.predict(x, step)
        eps = step.noise(x, u)
        down, sigma_up = step.split(eta)
        D_middle, c = None, 0.0
        if down.is_finite:
            sigma_middle = run.parameterization.sigma_from_ve(math.sqrt(down.s * down.s_next))
            middle = step.until(sigma_middle, run.parameterization)
            x_middle = weighted_sum((middle.alpha_next, D), (middle.sigma_next, eps))
            D_middle, _ = run.denoise(x_middle, sigma_middle)
            c = -down.alpha_next * math.expm1(-down.h)
        x = weighted_sum_((down.sigma_next, eps), (down.alpha_next, D), (c, D_middle), (-c, D))
        x = run.add_noise(x, sigma_up * s_noise, step)
    return x


sample_dpmpp_2s_ancestral_cfg_pp = cfg_pp(sample_dpmpp_2s_ancestral)
