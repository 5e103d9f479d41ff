r"""DPM-Solver++(2S) ancestral (Lu et al., arXiv 2211.01095), plain and with CFG++.

Two model calls a step: one at the start, one at the midpoint in half log-SNR, :math:`s_m = \sqrt{s s'}`, reached by
an Euler step. In VE coordinates

.. math:: x_m = D + e^{-h/2}(x - u), \qquad x' = e^{-h}(x + D - u) + (1 - e^{-h})\, D_m.

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

from .convention import cfg_pp, check_not_negative, sampler
from .euler import euler_step
from .run import Run
from .steps import blend

__all__ = ["sample_dpmpp_2s_ancestral", "sample_dpmpp_2s_ancestral_cfg_pp"]


@sampler
def sample_dpmpp_2s_ancestral(run: Run, eta: float = 1.0, s_noise: float = 1.0) -> torch.Tensor:
    """DPM-Solver++(2S), order 2 at eta = 0, with ancestral noise. eta: share of noise; s_noise scales it."""
    check_not_negative(eta=eta, s_noise=s_noise)
    x = run.x
    for step in run.steps(may_rise=eta == 0.0):
        D, u = run.predict(x, step)
        down, sigma_up = step.split(eta)
        if down.is_finite:
            middle = run.parameterization.sigma_from_ve(math.sqrt(down.s * down.s_next))
            x_middle = euler_step(x, D, u, step.until(middle, run.parameterization))
            D_middle, _ = run.denoise(x_middle, middle)
            kept = down.ratio * down.alpha  # alpha'·e^{-h}
            x = blend((down.ratio, x), (kept, D), (-kept, u), (down.alpha_next - kept, D_middle))
        else:
            x = euler_step(x, D, u, down)
        x = run.add_noise(x, sigma_up * s_noise, step)
    return x


sample_dpmpp_2s_ancestral_cfg_pp = cfg_pp(sample_dpmpp_2s_ancestral)
