r"""DPM-Solver++(2M) (Lu et al., arXiv 2211.01095), plain and with CFG++ (arXiv 2406.08070).

A multistep exponential integrator: the prediction is taken to be linear in the half log-SNR :math:`\lambda`, with the
slope of the step before. In VE coordinates, with :math:`h = \lambda' - \lambda` and :math:`r = h_{last}/h`,

.. math:: x' = D + e^{-h} (x - u) + c\,(D - u_{last}), \qquad
          c = \frac{1 - e^{-h}}{2r} \;\text{(midpoint)}, \quad c = \frac{1 - (1 - e^{-h})/h}{r} \;\text{(heun)}.

Without guidance u = D. With CFG++ the published last term, (D - u_last), mixes the two predictions; it does not vanish
for short steps where D != u. The other reading is (u - u_last). The first and the last step have no such term, nor has
the one after a step from pure noise, where :math:`h_{last}` is infinite.
"""

from __future__ import annotations

import math

import torch

from .convention import cfg_pp, check_choice, sampler
from .core_form import FORMS, core_dpmpp_2m
from .run import Run
from .steps import Step, blend

__all__ = ["HIGHER_ORDER_TERMS", "SOLVER_TYPES", "sample_dpmpp_2m", "sample_dpmpp_2m_cfg_pp", "slope_weight"]

SOLVER_TYPES = ("midpoint", "heun")
HIGHER_ORDER_TERMS = ("guided", "unconditional")


def slope_weight(step: Step, h_last: float | None, solver_type: str) -> float:
    """c above: the weight of the difference between two predictions ``h_last`` apart in lambda."""
    if h_last is None or not step.is_finite:
        return 0.0
    h = step.h
    if solver_type == "midpoint":
        return -math.expm1(-h) / 2 * (h / h_last)
    return (1 + math.expm1(-h) / h) * (h / h_last)


@sampler
def sample_dpmpp_2m(run: Run, solver_type: str = "midpoint", form: str = "auto") -> torch.Tensor:
    """DPM-Solver++(2M). Order 2.

    solver_type: "midpoint" as published, or "heun". form: "auto" is right on every model; "core" repeats ComfyUI's own
    numbers bit by bit, for pictures made with it.
    """
    return _dpmpp_2m(run, solver_type, "guided", form)


def sample_dpmpp_2m_cfg_pp(
    run: Run, solver_type: str = "midpoint", higher_order_term: str = "guided", form: str = "auto"
) -> torch.Tensor:
    """DPM-Solver++(2M) with CFG++.

    higher_order_term: "guided" is (D - u_last), as published and in ComfyUI; "unconditional" is (u - u_last).
    solver_type and form as without CFG++; on a flow model "core" is wrong by sigma'·(D - u) a step.
    """
    return _dpmpp_2m(run, solver_type, higher_order_term, form)


sample_dpmpp_2m_cfg_pp = cfg_pp(sampler(sample_dpmpp_2m_cfg_pp))


def _dpmpp_2m(run: Run, solver_type: str, higher_order_term: str, form: str) -> torch.Tensor:
    check_choice("solver_type", solver_type, SOLVER_TYPES)
    check_choice("higher_order_term", higher_order_term, HIGHER_ORDER_TERMS)
    check_choice("form", form, FORMS)
    if form == "core":
        return core_dpmpp_2m(run)
    x, u_last, h_last = run.x, None, None
    for step in run.steps():
        D, u = run.predict(x, step)
        c = step.alpha_next * slope_weight(step, h_last, solver_type)
        newest = D if higher_order_term == "guided" else u
        x = blend(
            (step.ratio, x),
            (step.alpha_next, D),
            (-step.ratio * step.alpha, u),
            (c, newest),
            (-c, u_last),
        )
        u_last, h_last = u, step.h
    return x
