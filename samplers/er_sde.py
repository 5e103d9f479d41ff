r"""Extended reverse-time SDE solvers (Cui et al., arXiv 2309.06169), plain and with CFG++.

A family of reverse processes with one marginal, told apart by a function :math:`\phi(s)`. In VE coordinates, for a
prediction D that is a polynomial in s, the process from s to s' is solved exactly:

.. math:: x' = D + \frac{\phi(s')}{\phi(s)} (x - D)
          + \dot D \Big[(s' - s) + \phi(s') \int_{s'}^{s} \frac{d\tau}{\phi(\tau)}\Big]
          + \tfrac{1}{2}\ddot D \Big[(s' - s)^2 + 2 \phi(s') \int_{s'}^{s} \frac{\tau - s}{\phi(\tau)} d\tau\Big]
          + \sqrt{s'^2 - s^2 \phi(s')^2/\phi(s)^2}\; \varepsilon.

* ``er_sde``: :math:`\phi = s (e^{s^{0.3}} + 10)`, the authors' choice;
* ``reverse_sde``: :math:`\phi = s^{1 + \eta}`, at eta = 1 the reverse-time SDE;
* ``ode``: :math:`\phi = s`, the probability-flow ODE, without noise.

The derivatives come from the last one or two predictions (``max_stage`` 2 or 3), as the Newton polynomial through them.
The published solver takes :math:`\dot D` half a step back, which leaves its third stage at second order. The run's
first step has no derivative, so that in the limit a whole run is of second order too.
With CFG++ (arXiv 2406.08070) the noise (x - u) and the derivatives are the unconditional prediction's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from .convention import cfg_pp, check_choice, check_not_negative, sampler
from .run import Run
from .steps import Step, blend

__all__ = ["SOLVER_TYPES", "sample_er_sde", "sample_er_sde_cfg_pp"]

SOLVER_TYPES = ("er_sde", "reverse_sde", "ode")

#: Gauss–Legendre nodes and weights on [0, 1]; the integrands are smooth in log s, so few are many.
_NODES, _WEIGHTS = ((a + b) / 2 for a, b in zip(np.polynomial.legendre.leggauss(24), (1.0, 0.0), strict=True))


def log_scale(solver_type: str, eta: float) -> Callable[[np.ndarray | float], np.ndarray | float]:
    """log(phi(s)/s) as a function of s; in logarithms, because e^{s^0.3} is beyond any float near pure noise."""
    if solver_type == "er_sde":
        return lambda s: np.logaddexp(s**0.3, math.log(10.0))
    if solver_type == "reverse_sde" and eta > 0:
        return lambda s: eta * np.log(s)
    return np.zeros_like


def split(step: Step, log_g: Callable[[float], float]) -> tuple[Step, float]:
    """The part of the step without noise, to the level s·phi(s')/phi(s), and the deviation of its noise."""
    s_down = step.s_next * math.exp(log_g(step.s_next) - log_g(step.s)) if step.s_next > 0 else 0.0
    deviation = math.sqrt(max(0.0, step.s_next**2 - s_down**2))
    return step.to(s_down), step.alpha_next * deviation


def derivative_weights(step: Step, log_g: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
    """The brackets in front of the first and (half) the second derivative above, times alpha'."""
    length = math.log(step.s / step.s_next)
    tau = step.s_next * np.exp(length * _NODES)
    # phi(s')/phi(tau) dtau, with dtau = tau·length·dnode
    measure = _WEIGHTS * length * step.s_next * np.exp(log_g(step.s_next) - log_g(tau))
    ds = step.s_next - step.s
    first = ds + float(measure.sum())
    second = ds**2 / 2 + float((measure * (tau - step.s)).sum())
    return step.alpha_next * first, step.alpha_next * second


@sampler
def sample_er_sde(
    run: Run, solver_type: str = "er_sde", max_stage: int = 3, eta: float = 1.0, s_noise: float = 1.0
) -> torch.Tensor:
    """ER-SDE solver of up to three stages. Order 2 for the ODE, 3 until the first step's error shows.

    solver_type: which process, see above. max_stage: how many predictions a step uses, 1 to 3. eta: noise of
    ``reverse_sde`` only, 0 is the ODE. s_noise scales the noise.
    """
    check_choice("solver_type", solver_type, SOLVER_TYPES)
    check_not_negative(eta=eta, s_noise=s_noise)
    if max_stage not in (1, 2, 3):
        raise ValueError(f"max_stage is {max_stage}; choose 1, 2 or 3.")
    log_g = log_scale(solver_type, eta)
    x = run.x
    u_last = slope_last = None
    s_last = s_before = math.inf
    for step in run.steps(may_rise=False):
        D, u = run.predict(x, step)
        down, sigma_up = split(step, log_g)
        terms = [(down.ratio, x), (down.alpha_next, D), (-down.ratio * down.alpha, u)]
        slope = None
        if max_stage >= 2 and math.isfinite(s_last) and step.is_finite:
            # Divided differences in s of the last predictions: slope is dD/ds between two, curvature d²D/ds² of three.
            gap = step.s - s_last
            slope = blend((1 / gap, u), (-1 / gap, u_last))
            first, second = derivative_weights(step, log_g)
            terms.append((first, slope))
            if max_stage == 3 and slope_last is not None:
                curvature = 2 / (step.s - s_before)
                weight = curvature * (second + first * gap / 2)
                terms += [(weight, slope), (-weight, slope_last)]
        x = run.add_noise(blend(*terms), sigma_up * s_noise, step)
        u_last, slope_last = u, slope
        s_last, s_before = step.s, s_last
    return x


sample_er_sde_cfg_pp = cfg_pp(sample_er_sde)
