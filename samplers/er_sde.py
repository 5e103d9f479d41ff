r"""Extended reverse-time SDE solvers (Cui et al., arXiv 2309.06169), plain and with CFG++.

A family of reverse processes with one marginal, told apart by a function :math:`\phi(s)`. In VE coordinates, for a
prediction D that is a polynomial in s, the process from s to s' is solved exactly:

.. math:: x' = D + \frac{\phi(s')}{\phi(s)} (x - D)
          + \dot D \Big[(s' - s) + \phi(s') \int_{s'}^{s} \frac{d\tau}{\phi(\tau)}\Big]
          + \tfrac{1}{2}\ddot D \Big[(s' - s)^2 + 2 \phi(s') \int_{s'}^{s} \frac{\tau - s}{\phi(\tau)} d\tau\Big]
          + \sqrt{s'^2 - s_d^2}\; z, \qquad s_d = s\,\phi(s')/\phi(s),

with fresh noise z. The first two terms are, in the model's own coordinates and with
:math:`\varepsilon = (x - \alpha u)/\sigma`, the step :math:`\alpha' D + \alpha' s_d \varepsilon`.

* ``er_sde``: :math:`\phi = s (e^{s^{0.3}} + 10)`, the authors' choice;
* ``reverse_sde``: :math:`\phi = s^{1 + \eta}`, at eta = 1 the reverse-time SDE;
* ``ode``: :math:`\phi = s`, the probability-flow ODE, without noise.

The derivatives come from the last one or two predictions (``max_stage`` 2 or 3), as the Newton polynomial through them.
The published solver takes :math:`\dot D` half a step back, which leaves its third stage at second order. The run's
first step has no derivative, so that in the limit a whole run is of second order too.
With CFG++ (arXiv 2406.08070) u, in the noise and in the derivatives, is the unconditional prediction.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from ..diffusion.options import Option
from .convention import cfg_pp, sampler
from .options import ETA, S_NOISE
from .run import Run
from .steps import OptionalTerm, Step, weighted_sum_

__all__ = ["sample_er_sde", "sample_er_sde_cfg_pp"]

SOLVER_TYPE = Option(
    "solver_type",
    "er_sde",
    "Which process: er_sde (published), reverse_sde (with eta), ode (no noise).",
    choices=("er_sde", "reverse_sde", "ode"),
)
MAX_STAGE = Option("max_stage", 3, "How many predictions a step uses.", 1, 3, step=1)
ETA_OF_REVERSE_SDE = replace(ETA, description="Noise of reverse_sde; 0 is the ODE. The other processes ignore it.")

#: Gauss–Legendre nodes and weights on [0, 1]; the integrands are smooth in log s, so 24 nodes are ample.
_NODES, _WEIGHTS = ((a + b) / 2 for a, b in zip(np.polynomial.legendre.leggauss(24), (1.0, 0.0), strict=True))

#: log(phi(s)/s) as a function of s, of one level or of many.
LogScale = Callable[[np.ndarray], np.ndarray]


def log_scale(solver_type: str, eta: float) -> LogScale:
    """log(phi(s)/s) of a process; in logarithms, because e^{s^0.3} is beyond any float near pure noise."""
    if solver_type == "er_sde":
        return lambda s: np.logaddexp(s**0.3, math.log(10.0))
    if solver_type == "reverse_sde" and eta > 0:
        return lambda s: eta * np.log(s)
    return np.zeros_like


def split(step: Step, log_g: LogScale) -> tuple[Step, float]:
    """The part of the step without noise, to the level s·phi(s')/phi(s), and the deviation of its noise."""
    change = log_g(np.float64(step.s_next)) - log_g(np.float64(step.s)) if step.s_next > 0 else 0.0
    s_down = step.s_next * math.exp(change)
    deviation = math.sqrt(max(0.0, step.s_next**2 - s_down**2))
    return step.to(s_down), step.alpha_next * deviation


def derivative_weights(step: Step, log_g: LogScale) -> tuple[float, float]:
    """The brackets in front of the first and (half) the second derivative above, times alpha'."""
    length = math.log(step.s / step.s_next)
    tau = step.s_next * np.exp(length * _NODES)
    # phi(s')/phi(tau) dtau, with dtau = tau·length·dnode
    measure = _WEIGHTS * length * step.s_next * np.exp(log_g(np.float64(step.s_next)) - log_g(tau))
    ds = step.s_next - step.s
    first = ds + float(measure.sum())
    second = ds**2 / 2 + float((measure * (tau - step.s)).sum())
    return step.alpha_next * first, step.alpha_next * second


@sampler(SOLVER_TYPE, MAX_STAGE, ETA_OF_REVERSE_SDE, S_NOISE)
def sample_er_sde(run: Run, solver_type: str, max_stage: int, eta: float, s_noise: float) -> torch.Tensor:
    """ER-SDE solver of up to three stages. Order 2 for the ODE, 3 until the first step's error shows."""
    log_g = log_scale(solver_type, eta)
    x = run.x
    u_last = slope_last = None
    s_last = s_before = math.inf
    for step in run.steps(may_rise=False):
        D, u = run.predict(x, step)
        eps = step.noise(x, u)
        down, sigma_up = split(step, log_g)
        terms: list[OptionalTerm] = [(down.alpha_next, D)]
        slope = None
        if max_stage >= 2 and u_last is not None and math.isfinite(s_last) and step.is_finite:
            # Newton's divided differences in s of the last predictions.
            gap = step.s - s_last
            slope = (u - u_last).div_(gap)
            first, second = derivative_weights(step, log_g)
            terms.append((first, slope))
            if max_stage == 3 and slope_last is not None:
                curvature = (slope - slope_last).mul_(2 / (step.s - s_before))
                # The slope is that of half a gap before s; at s it is slope + curvature·gap/2.
                terms.append((second + first * gap / 2, curvature))
        x = weighted_sum_((down.sigma_next, eps), *terms)
        x = run.add_noise(x, sigma_up * s_noise, step)
        u_last, slope_last = u, slope
        s_last, s_before = step.s, s_last
    return x


sample_er_sde_cfg_pp = cfg_pp(sample_er_sde)
