r"""Refined exponential solver, multistep (Zhang et al., arXiv 2308.02157), its ancestral form, and both with CFG++.

The second-order exponential Adams–Bashforth step: with :math:`\varphi_2(z) = (\varphi_1(z) - 1)/z` and
:math:`\varphi_1(z) = (e^z - 1)/z`, in VE coordinates,

.. math:: x' = D + e^{-h}(x - u) + h \varphi_2(-h) \frac{h}{h_{last}} (u - u_{last}),

where :math:`h_{last}` is the distance in :math:`\lambda` that the last step went without noise. Without guidance u = D,
and without noise this is DPM-Solver++(2M) in its "heun" form. In the ancestral form the last step went further than the
level it ended on, which noise brought back; measured by the level instead, the variance of a Gaussian prior would
converge at first order only, and from far above (``benchmarks/sampler_orders.py``).
"""

from __future__ import annotations

import torch

from .convention import cfg_pp, check_not_negative, sampler
from .dpmpp_2m import slope_weight
from .run import Run
from .steps import blend

__all__ = [
    "sample_res_multistep",
    "sample_res_multistep_ancestral",
    "sample_res_multistep_ancestral_cfg_pp",
    "sample_res_multistep_cfg_pp",
]


@sampler
def sample_res_multistep(run: Run) -> torch.Tensor:
    """Exponential Adams–Bashforth steps. Order 2."""
    return _res_multistep(run, eta=0.0, s_noise=0.0)


@sampler
def sample_res_multistep_ancestral(run: Run, eta: float = 1.0, s_noise: float = 1.0) -> torch.Tensor:
    """The same to a lower level, and noise back up. eta: share of noise, 0 for none; s_noise scales it."""
    check_not_negative(eta=eta, s_noise=s_noise)
    return _res_multistep(run, eta, s_noise)


sample_res_multistep_cfg_pp = cfg_pp(sample_res_multistep)
sample_res_multistep_ancestral_cfg_pp = cfg_pp(sample_res_multistep_ancestral)


def _res_multistep(run: Run, eta: float, s_noise: float) -> torch.Tensor:
    x, u_last, h_last = run.x, None, None
    for step in run.steps(may_rise=eta == 0.0):
        D, u = run.predict(x, step)
        down, sigma_up = step.split(eta)
        c = down.alpha_next * slope_weight(down, h_last, "heun")
        x = blend(
            (down.ratio, x),
            (down.alpha_next, D),
            (-down.ratio * down.alpha, u),
            (c, u),
            (-c, u_last),
        )
        x = run.add_noise(x, sigma_up * s_noise, step)
        u_last, h_last = u, down.h
    return x
