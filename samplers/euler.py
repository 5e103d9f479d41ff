r"""Euler, its ancestral form, and both with CFG++ (Chung et al., arXiv 2406.08070).

The probability-flow ODE :math:`dx/ds = (x - D)/s`, in VE coordinates, solved by Euler is DDIM: go to the predicted
image, and put the predicted noise back at the next level. CFG++ takes the image from the guided prediction D and the
noise from the unconditional one u,

.. math:: x' = \alpha' D + \sigma' (x - \alpha u)/\sigma.

Without guidance u = D. The ancestral form goes to a lower level and adds fresh noise (:meth:`Step.split`).
"""

from __future__ import annotations

import torch

from .convention import cfg_pp, check_not_negative, sampler
from .run import Run
from .steps import Step, blend

__all__ = [
    "euler_step",
    "sample_euler",
    "sample_euler_ancestral",
    "sample_euler_ancestral_cfg_pp",
    "sample_euler_cfg_pp",
]


def euler_step(x: torch.Tensor, D: torch.Tensor, u: torch.Tensor, step: Step) -> torch.Tensor:
    """x' = alpha'·D + sigma'·(x - alpha·u)/sigma."""
    return blend((step.ratio, x), (step.alpha_next, D), (-step.ratio * step.alpha, u))


@sampler
def sample_euler(run: Run) -> torch.Tensor:
    """Euler steps on the probability-flow ODE: DDIM. Order 1."""
    x = run.x
    for step in run.steps():
        D, u = run.predict(x, step)
        x = euler_step(x, D, u, step)
    return x


@sampler
def sample_euler_ancestral(run: Run, eta: float = 1.0, s_noise: float = 1.0) -> torch.Tensor:
    """Euler steps to a lower level, and noise back up. eta = 1 is DDPM, 0 is Euler; s_noise scales the noise."""
    check_not_negative(eta=eta, s_noise=s_noise)
    x = run.x
    for step in run.steps(may_rise=eta == 0.0):
        D, u = run.predict(x, step)
        down, sigma_up = step.split(eta)
        x = run.add_noise(euler_step(x, D, u, down), sigma_up * s_noise, step)
    return x


sample_euler_cfg_pp = cfg_pp(sample_euler)
sample_euler_ancestral_cfg_pp = cfg_pp(sample_euler_ancestral)
