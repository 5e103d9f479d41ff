r"""Markov chains on :math:`p(z_0 | z_t, y)`, the middle of a DAPS step (Zhang et al., arXiv 2407.01521).

The target is a Gaussian around the prior's estimate times the likelihood:

.. math:: \log p(z) = -\|A(\mathrm{dec}(z)) - y\|^2/\tau^2 - \|z - \hat z_0\|^2/(2 r^2),

with :math:`r` the width that the prior is given at this noise level. There is no one-half before the likelihood, as in
the official code: :math:`\tau` is the likelihood of Gaussian noise of standard deviation :math:`\tau/\sqrt 2`, and
:math:`\tau = \sqrt 2\,\sigma_y` the honest choice for noise :math:`\sigma_y`. The published presets are far sharper, so
what they draw is spread less than the posterior.

Two chains, neither with an accept step:

* Langevin: :math:`z \leftarrow z + \eta g + \sqrt{2\eta}\,\varepsilon`;
* under-damped ("hmc"): :math:`v \leftarrow m v + \sqrt\eta\, g + \sqrt{2(1-m)}\,\varepsilon`, then
  :math:`z \leftarrow z + \sqrt\eta\, v`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..likelihood import Likelihood

__all__ = ["MCMCOptions", "prior_width", "run_chain"]

KINDS = ("langevin", "hmc")
PRIOR_WIDTHS = ("sigma", "capped")


@dataclass(frozen=True)
class MCMCOptions:
    """The chain's numbers; the defaults are no published setting (see ``PRESETS`` in ``samplers/latent_daps.py``).

    kind: "langevin" or "hmc".
    steps: chain steps per annealing step, each one decoder pass forward and backward.
    step_size: eta at the first annealing step.
    step_size_end: eta's share that is left at the last annealing step (published: ``lr_min_ratio``).
    tau: the likelihood's width per measurement, in the measurement's units; :attr:`noise_sigma` times sqrt(2).
    momentum: m of the hmc chain, in [0, 1).
    prior_width: "sigma" takes r = sigma as published; "capped" takes r² = sigma²/(1 + sigma²), the posterior
        variance under a unit Gaussian prior, which stays sensible for standardised latents at large sigma.
    gradient_clamp: bound on each entry of the likelihood's gradient before the division by tau²; 0 for none.
    weight: multiplies the likelihood; at 0 the chain is skipped and the prior is sampled.
    """

    kind: str = "langevin"
    steps: int = 50
    step_size: float = 4e-6
    step_size_end: float = 0.01
    tau: float = 0.01
    momentum: float = 0.41
    prior_width: str = "sigma"
    gradient_clamp: float = 0.0
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"mcmc kind is {self.kind!r}; choose one of {', '.join(KINDS)}.")
        if self.prior_width not in PRIOR_WIDTHS:
            raise ValueError(f"prior_width is {self.prior_width!r}; choose one of {', '.join(PRIOR_WIDTHS)}.")
        if self.steps < 0:
            raise ValueError(f"mcmc_steps is {self.steps}; it must be 0 or more.")
        for name in ("step_size", "step_size_end"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be a number greater than 0.")
        if not self.tau**2 > 0:  # a tau of 1e-300 is 0 where it counts
            raise ValueError(f"tau is {self.tau}; it must be greater than 0 (published: 0.01).")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum is {self.momentum}; it must lie in [0, 1).")
        for name, value in (("measurement_weight", self.weight), ("gradient_clamp", self.gradient_clamp)):
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} is {value}; it must be 0 or a positive number.")

    @property
    def noise_sigma(self) -> float:
        """The standard deviation of the Gaussian noise that this likelihood, with its weight, is exact for."""
        return math.inf if self.weight == 0 else self.tau / math.sqrt(2 * self.weight)

    def sharpness(self, noise_sigma: float) -> float:
        """How many times the log-likelihood of measurements with noise ``noise_sigma`` is counted: 1 is calibrated.

        >>> round(MCMCOptions(tau=0.01).sharpness(0.05))
        50
        """
        return (noise_sigma / self.noise_sigma) ** 2

    @property
    def is_active(self) -> bool:
        """False when the chain would do nothing and is left out."""
        return self.weight > 0 and self.steps > 0

    def step_size_at(self, step: int, total: int) -> float:
        """eta at annealing step ``step`` of ``total``: linear from ``step_size`` down, as published."""
        return self.step_size * (1 + step / (total + 1) * (self.step_size_end - 1))


def prior_width(sigma_ve: float, kind: str) -> float:
    """r, the standard deviation of the Gaussian around the prior's estimate at VE noise level ``sigma_ve``."""
    if kind == "sigma":
        return sigma_ve
    return 1.0 if math.isinf(sigma_ve) else sigma_ve / math.sqrt(1 + sigma_ve**2)


def run_chain(
    z0_hat: torch.Tensor,
    likelihood: Likelihood,
    width: float,
    step_size: float,
    options: MCMCOptions,
    noise: Callable[[torch.Tensor], torch.Tensor],
    mask: torch.Tensor | None = None,
    on_iteration: Callable[[], None] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run the chain from ``z0_hat`` and return its last state, and whose chain failed.

    Args:
        z0_hat: the prior's estimates ``[N, ...]``, which are also the Gaussian's centres.
        likelihood: residual and gradient of the measurement.
        width: r, the Gaussian's standard deviation (see :func:`prior_width`).
        step_size: eta of this annealing step.
        options: kind of chain, number of steps, tau, momentum.
        noise: standard normal noise shaped like its argument, each particle from its own stream.
        mask: 1 where the latent may move, 0 where it is given (inpainting); broadcasts against ``z0_hat``.
        on_iteration: called before every step; raising from it ends the run (that is how a cancel arrives).

    Returns:
        The latents ``[N, ...]`` and ``[N]`` booleans, true for a particle that became non-finite: it is returned to
        ``z0_hat``, and the others do not notice.
    """
    z = z0_hat
    velocity = noise(z) if options.kind == "hmc" else None
    for _ in range(options.steps):
        if on_iteration is not None:
            on_iteration()
        score = (z0_hat - z) / width**2 - _likelihood_gradient(likelihood, z, options)
        if velocity is None:
            move = step_size * score + math.sqrt(2 * step_size) * noise(z)
        else:
            drag = math.sqrt(2 * (1 - options.momentum))
            velocity = options.momentum * velocity + math.sqrt(step_size) * score + drag * noise(z)
            move = math.sqrt(step_size) * velocity
        z = z + (move if mask is None else move * mask)
    failed = ~z.flatten(1).isfinite().all(dim=1)
    return torch.where(failed.reshape(-1, *[1] * (z.ndim - 1)), z0_hat, z), failed


def _likelihood_gradient(likelihood: Likelihood, z: torch.Tensor, options: MCMCOptions) -> torch.Tensor:
    """The gradient of weight · ||A(dec(z)) - y||²/tau²."""
    _, gradient = likelihood.residual_and_gradient(z)
    if options.gradient_clamp > 0:
        gradient = gradient.clamp(-options.gradient_clamp, options.gradient_clamp)
    return gradient * (options.weight / options.tau**2)
