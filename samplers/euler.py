r"""Euler, its ancestral form, and both with CFG++ (Chung et al., arXiv 2406.08070).

The probability-flow ODE :math:`dx/ds = (x - D)/s`, in VE coordinates, solved by Euler is DDIM: go to the predicted
image, and put the predicted noise back at the next level. CFG++ takes the image from the guided prediction D and the
noise from the unconditional one u,

.. math:: \varepsilon = (x - \alpha u)/\sigma, \qquad x' = \alpha' D + \sigma' \varepsilon.

Without guidance u = D. The ancestral form goes to a lower level and adds fresh noise (:meth:`Step.split`).
"""

from __future__ import annotations

import torch

from .convention import cfg_pp, sampler
from .options import ETA, S_NOISE
from .run import Run
from .steps import weighted_sum_

__all__ = ["sample_euler", "sample_euler_ancestral", "sample_euler_ancestral_cfg_pp", "sample_euler_cfg_pp"]


@sampler()
def sample_euler(run: Run) -> torch.Tensor:
    """Euler steps on the probability-flow ODE: DDIM. Order 1."""
    x = run.x
    for step in run.steps():
        D, u = run.predict(x, step)
        eps = step.noise(x, u)
        x = weighted_sum_((step.sigma_next, eps), (step.alpha_next, D))
    return x


@sampler(ETA, S_NOISE)
def sample_euler_ancestral(run: Run, eta: float, s_noise: float) -> torch.Tensor:
    """Euler steps to a lower level, and noise back up. eta = 1 is DDPM, 0 is Euler."""
    x = run.x
    for step in run.steps(may_rise=eta == 0.0):
        D, u = run.predict(x, step)
        eps = step.noise(x, u)
        down, sigma_up = step.split(eta)
        x = weighted_sum_((down.sigma_next, eps), (down.alpha_next, D))
        x = run.add_noise(x, sigma_up * s_noise, step)
    return x


sample_euler_cfg_pp = cfg_pp(sample_euler)
sample_euler_ancestral_cfg_pp = cfg_pp(sample_euler_ancestral)
