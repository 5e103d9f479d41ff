r"""DPM-Solver++(2M) (Lu et al., arXiv 2211.01095), plain and with CFG++ (arXiv 2406.08070).

A multistep exponential integrator: the prediction is taken to be linear in the half log-SNR :math:`\lambda`, with the
slope of the step before. In VE coordinates, with :math:`h = \lambda' - \lambda` and :math:`r = h_{last}/h`,

.. math:: x' = D + e^{-h} (x - u) + c\,(D - u_{last}), \qquad
          c = \frac{1 - e^{-h}}{2r} \;\text{(midpoint)}, \quad c = \frac{1 - (1 - e^{-h})/h}{r} \;\text{(heun)}.

Without guidance u = D. With CFG++ the published last term, (D - u_last), mixes the two predictions; it does not vanish
for short steps where D != u. The other reading is (u - u_last). The first and the last step have no such term. A run
from a flow model's pure noise, where :math:`\lambda` is infinite, takes the slope in another variable: ``slope.py``.
"""

from __future__ import annotations

import torch

from .comfyui_exact import core_dpmpp_2m, is_comfyui_form
from .convention import cfg_pp, check_choice, sampler
from .run import Run
from .slope import slope_weight
from .steps import blend

__all__ = ["HIGHER_ORDER_TERMS", "SOLVER_TYPES", "sample_dpmpp_2m", "sample_dpmpp_2m_cfg_pp"]

SOLVER_TYPES = ("midpoint", "heun")
HIGHER_ORDER_TERMS = ("guided", "unconditional")


@sampler
def sample_dpmpp_2m(run: Run, solver_type: str = "midpoint", form: str = "auto") -> torch.Tensor:
    """DPM-Solver++(2M). Order 2.

    solver_type: "midpoint" as published, or "heun". form: "auto" is right on every model; "comfyui" repeats
    ComfyUI's own numbers bit by bit, for pictures made with it.
    """
    return _dpmpp_2m(run, solver_type, "guided", form)


def sample_dpmpp_2m_cfg_pp(
    run: Run, solver_type: str = "midpoint", higher_order_term: str = "guided", form: str = "auto"
) -> torch.Tensor:
    """DPM-Solver++(2M) with CFG++.

    higher_order_term: "guided" is (D - u_last), as published and in ComfyUI; "unconditional" is (u - u_last).
    solver_type and form as without CFG++; on a flow model "comfyui" is wrong by sigma'·(D - u) a step.
    """
    return _dpmpp_2m(run, solver_type, higher_order_term, form)


sample_dpmpp_2m_cfg_pp = cfg_pp(sampler(sample_dpmpp_2m_cfg_pp))


def _dpmpp_2m(run: Run, solver_type: str, higher_order_term: str, form: str) -> torch.Tensor:
    check_choice("solver_type", solver_type, SOLVER_TYPES)
    check_choice("higher_order_term", higher_order_term, HIGHER_ORDER_TERMS)
    if is_comfyui_form(form):
        return core_dpmpp_2m(run)
    x, u_last, length_last = run.x, None, None
    for step in run.steps():
        D, u = run.predict(x, step)
        c = step.alpha_next * slope_weight(step, length_last, solver_type)
        newest = D if higher_order_term == "guided" else u
        x = blend(
            (step.ratio, x),
            (step.alpha_next, D),
            (-step.ratio * step.alpha, u),
            (c, newest),
            (-c, u_last),
        )
        u_last, length_last = u, step.length
    return x
