r"""Refined exponential solver, multistep (Zhang et al., arXiv 2308.02157), its ancestral form, and both with CFG++.

The second-order exponential Adams–Bashforth step: with :math:`\varphi_2(z) = (\varphi_1(z) - 1)/z` and
:math:`\varphi_1(z) = (e^z - 1)/z`, in VE coordinates,

.. math:: x' = D + e^{-h}(x - u) + c\,(u - u_{last}), \qquad c = h \varphi_2(-h) \frac{h}{h_{last}},

where :math:`h_{last}` is the distance in :math:`\lambda` that the last step went without noise. In the model's own

.. math:: \varepsilon = (x - \alpha u)/\sigma, \qquad
          x' = \alpha' D + \sigma' \varepsilon + \alpha' c\,(u - u_{last}).

Without guidance u = D, and without noise this is DPM-Solver++(2M) in its "heun" form; a run from pure noise takes the
slope as that one does.
In the ancestral form the last step went further than the level it ended on, which noise brought back; measured by the
level instead, the variance of a Gaussian prior would converge at first order only, and from far above
(``benchmarks/sampler_orders.py``).

ComfyUI's CFG++ form keeps of the guidance D - u only the share :math:`e^{-h}` after its first step, which leaves
:math:`(1 - e^{-h})(D - u)` out of x'. ``form="comfyui"`` repeats that.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from .comfyui_exact import FORM, comfyui_res_multistep, is_comfyui_form
from .convention import cfg_pp, sampler
from .options import ETA, S_NOISE
from .run import Run
from .slope import slope_weight
from .steps import weighted_sum_

__all__ = [
    "sample_res_multistep",
    "sample_res_multistep_ancestral",
    "sample_res_multistep_ancestral_cfg_pp",
    "sample_res_multistep_cfg_pp",
]


@sampler(FORM)
def sample_res_multistep(run: Run, form: str) -> torch.Tensor:
    """Exponential Adams-Bashforth steps. Order 2."""
    return _res_multistep(run, eta=0.0, s_noise=0.0, form=form)


@sampler(ETA, S_NOISE, replace(FORM, added_later=True))
def sample_res_multistep_ancestral(run: Run, eta: float, s_noise: float, form: str) -> torch.Tensor:
    """The same to a lower level, and noise back up. ComfyUI's form also draws its noise: one stream for a batch."""
    return _res_multistep(run, eta, s_noise, form)


sample_res_multistep_cfg_pp = cfg_pp(sample_res_multistep)
sample_res_multistep_ancestral_cfg_pp = cfg_pp(sample_res_multistep_ancestral)


def _res_multistep(run: Run, eta: float, s_noise: float, form: str) -> torch.Tensor:
    if is_comfyui_form(form):
        return comfyui_res_multistep(run, eta, s_noise)
    x, u_last, length_last = run.x, None, None
    for step in run.steps(may_rise=eta == 0.0):
        D, u = run.predict(x, step)
        eps = step.noise(x, u)
        down, sigma_up = step.split(eta)
        c = down.alpha_next * slope_weight(down, length_last, "heun")
        x = weighted_sum_((down.sigma_next, eps), (down.alpha_next, D), (c, u), (-c, u_last))
        x = run.add_noise(x, sigma_up * s_noise, step)
        u_last, length_last = u, down.length
    return x
