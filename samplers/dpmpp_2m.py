r"""DPM-Solver++(2M) (Lu et al., arXiv 2211.01095), plain and with CFG++ (arXiv 2406.08070).

A multistep exponential integrator: the prediction is taken to be linear in the half log-SNR :math:`\lambda`, with the
slope of the step before. In VE coordinates, with :math:`h = \lambda' - \lambda` and :math:`r = h_{last}/h`,

.. math:: x' = D + e^{-h} (x - u) + c\,(D - u_{last}), \qquad
          c = \frac{1 - e^{-h}}{2r} \;\text{(midpoint)}, \quad c = \frac{1 - (1 - e^{-h})/h}{r} \;\text{(heun)},

where :math:`e^{-h}(x - u) = s'\varepsilon`, so that in the model's own coordinates

.. math:: \varepsilon = (x - \alpha u)/\sigma, \qquad
          x' = \alpha' D + \sigma' \varepsilon + \alpha' c\,(D - u_{last}).

Without guidance u = D. With CFG++ the published last term, (D - u_last), mixes the two predictions; it does not vanish
for short steps where D != u. The other reading is (u - u_last). The first and the last step have no such term. A run
from a flow model's pure noise, where :math:`\lambda` is infinite, takes the slope in another variable: ``slope.py``.
"""

from __future__ import annotations

import torch

from ..diffusion.options import Option
from .comfyui_exact import FORM, comfyui_dpmpp_2m, is_comfyui_form
from .convention import cfg_pp, sampler
from .run import Run
from .slope import slope_weight
from .steps import weighted_sum_

__all__ = ["sample_dpmpp_2m", "sample_dpmpp_2m_cfg_pp"]

SOLVER_TYPE = Option(
    "solver_type", "midpoint", "How the slope between two predictions is weighted.", choices=("midpoint", "heun")
)
HIGHER_ORDER_TERM = Option(
    "higher_order_term",
    "guided",
    "What the slope is taken of: guided (published, ComfyUI's) or unconditional (the same prediction twice).",
    choices=("guided", "unconditional"),
)


@sampler(SOLVER_TYPE, FORM)
def sample_dpmpp_2m(run: Run, solver_type: str, form: str) -> torch.Tensor:
    """DPM-Solver++(2M). Order 2. Published with the midpoint."""
    return _dpmpp_2m(run, solver_type, "guided", form)


@cfg_pp
@sampler(SOLVER_TYPE, HIGHER_ORDER_TERM, FORM)
def sample_dpmpp_2m_cfg_pp(run: Run, solver_type: str, higher_order_term: str, form: str) -> torch.Tensor:
    """DPM-Solver++(2M) with CFG++. On a flow model ComfyUI's own form is wrong by sigma'·(D - u) a step."""
    return _dpmpp_2m(run, solver_type, higher_order_term, form)


def _dpmpp_2m(run: Run, solver_type: str, higher_order_term: str, form: str) -> torch.Tensor:
    if is_comfyui_form(form):
        return comfyui_dpmpp_2m(run)
    x, u_last, length_last = run.x, None, None
    for step in run.steps():
        D, u = run.predict(x, step)
        eps = step.noise(x, u)
        newest = D if higher_order_term == "guided" else u
        c = step.alpha_next * slope_weight(step, length_last, solver_type)
        x = weighted_sum_((step.sigma_next, eps), (step.alpha_next, D), (c, newest), (-c, u_last))
        u_last, length_last = u, step.length
    return x
