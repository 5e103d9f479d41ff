r"""One step between two noise levels, in numbers that stay finite on every model.

With :math:`x = \alpha x_0 + \sigma\varepsilon` and :math:`s = \sigma/\alpha`, division by :math:`\alpha` turns every
model into a variance-exploding one, where samplers are published: :math:`x/\alpha`, level :math:`s`, half log-SNR
:math:`\lambda = -\log s`, step :math:`h = \lambda' - \lambda`. A step there goes to the predicted image D, puts the
noise back that the prediction u leaves, and adds what its order asks for. Multiplied by :math:`\alpha'` it is

.. math:: \varepsilon = (x - \alpha u)/\sigma, \qquad x' = \alpha' D + \sigma' \varepsilon + \alpha' \sum_k b_k D_k,

which divides by no :math:`\alpha`: it holds in the model's own coordinates even where :math:`\alpha = 0`, a flow
model's pure noise. All numbers are Python floats, computed before the first model call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import cast

import torch

from ..diffusion.parameterization import Parameterization

__all__ = ["PURE_NOISE", "Step", "plan", "weighted_sum", "weighted_sum_"]

#: A run that starts at this level (VE) or above starts at pure noise: sigma = 0.9999 of a flow model. No VE model's
#: schedule reaches it (zero terminal SNR: 4,518).
PURE_NOISE = 1e4


@dataclass(frozen=True)
class Step:
    """From noise level ``sigma`` to ``sigma_next``, both in the model's units; step ``i`` of the run.

    ``alpha`` is the signal's scale, ``s`` = sigma/alpha the level in VE coordinates (infinite where alpha = 0).
    ``from_pure_noise``: the run's first level, not only this one's, had no signal to speak of.
    """

    i: int
    sigma: float
    sigma_next: float
    alpha: float
    alpha_next: float
    s: float
    s_next: float
    from_pure_noise: bool = False

    def noise(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """The noise in ``x`` at the start of the step, if its image is ``u``: eps = (x - alpha·u)/sigma.

        A new tensor. At a flow's pure noise alpha is 0, and all of x is noise.
        """
        return torch.sub(x, u, alpha=self.alpha).mul_(1 / self.sigma)

    @property
    def h(self) -> float:
        """lambda' - lambda: infinite when the step starts at pure noise or ends at the clean image."""
        if self.s_next == 0.0 or math.isinf(self.s):
            return math.inf
        return -math.inf if math.isinf(self.s_next) else math.log(self.s / self.s_next)

    @property
    def length(self) -> float:
        """How far the step goes in the variable that a slope is taken in (``slope.py``); infinite to the clean image.

        That is h, or in a run from pure noise the difference in -log t, t = s/(1 + s), which is finite there.
        """
        if not self.from_pure_noise:
            return self.h
        if self.s_next == 0.0:
            return math.inf
        return math.log1p(1 / self.s_next) - math.log1p(1 / self.s)

    @property
    def is_finite(self) -> bool:
        """False when the step has no length in lambda; it is then a first-order one, which its limit is."""
        return math.isfinite(self.h)

    def to(self, s_next: float) -> Step:
        """The same step, but only to the level ``s_next`` (VE), still at the scale ``alpha_next``.

        That is the deterministic part of a stochastic step, which noise then brings up to ``sigma_next``.
        """
        return replace(self, s_next=s_next, sigma_next=self.alpha_next * s_next)

    def until(self, sigma: float, parameterization: Parameterization) -> Step:
        """A step from the same start to the level ``sigma`` in the model's units, such as the middle of this one."""
        alpha, s = parameterization.alpha(sigma), parameterization.sigma_ve(sigma)
        return replace(self, sigma_next=sigma, alpha_next=alpha, s_next=s)

    def split(self, eta: float) -> tuple[Step, float]:
        """The deterministic part of an ancestral step, and the deviation of the noise that follows it.

        The level after it all is s'; s_up² = eta²·s'²·(1 - s'²/s²) of its variance is fresh noise (k-diffusion).
        eta = 0 gives the step itself and no noise.
        """
        if eta == 0.0:
            return self, 0.0
        s_up = min(self.s_next, eta * self.s_next * math.sqrt(max(0.0, 1.0 - (self.s_next / self.s) ** 2)))
        s_down = math.sqrt(max(0.0, self.s_next**2 - s_up**2))
        return self.to(s_down), self.alpha_next * s_up


def plan(sigmas: torch.Tensor, parameterization: Parameterization, may_rise: bool = True) -> list[Step]:
    """The steps of a run through ``sigmas`` ``[n + 1]``; none for fewer than two levels.

    Repeated levels count once: a step of no length changes nothing, and calls no model. Rising levels (from image to
    noise, "inversion") are allowed if ``may_rise``, but cannot start at 0.

    Raises:
        ValueError: levels that are NaN, infinite, negative, too large for a flow model, or that fall and rise.
    """
    if sigmas.ndim != 1:
        raise ValueError(f"sigmas have {sigmas.ndim} dimensions; give one list of levels, as a scheduler does.")
    if not bool(torch.isfinite(sigmas).all()):
        raise ValueError("sigmas contain NaN or infinity; connect a scheduler made for this model.")
    levels = torch.unique_consecutive(sigmas.detach().double()).tolist()
    if any(sigma < 0 for sigma in levels):
        raise ValueError(f"sigmas contain {min(levels):g}; a noise level cannot be negative.")
    if levels and max(levels) > parameterization.sigma_limit:
        raise ValueError(
            f"sigmas reach {max(levels):g}, but this is a flow model, whose sigma runs from 1 to 0; "
            "connect a scheduler made for this model."
        )
    rises = [after > before for before, after in pairwise(levels)]
    if any(rises) and not all(rises):
        raise ValueError("sigmas go down and up; they must only fall (or, for inversion, only rise).")
    if any(rises) and not may_rise:
        raise ValueError("sigmas rise, but a sampler that adds noise needs falling ones; set eta to 0 for inversion.")
    if any(rises) and levels[0] == 0.0:
        raise ValueError("rising sigmas start at 0, where an image has no noise to grow; start at a small one (1e-4).")
    alphas = [parameterization.alpha(sigma) for sigma in levels]
    sigmas_ve = [parameterization.sigma_ve(sigma) for sigma in levels]
    pure = bool(sigmas_ve) and sigmas_ve[0] >= PURE_NOISE
    return [
        Step(i, levels[i], levels[i + 1], alphas[i], alphas[i + 1], sigmas_ve[i], sigmas_ve[i + 1], pure)
        for i in range(len(levels) - 1)
    ]


Term = tuple[float, torch.Tensor]
#: Of a term of weight 0 the tensor need not exist yet.
OptionalTerm = tuple[float, torch.Tensor | None]


def weighted_sum(first: Term, *others: OptionalTerm) -> torch.Tensor:
    """The sum of weight·tensor over all terms, in a new tensor."""
    weight, tensor = first
    return _add(tensor * weight, others)


def weighted_sum_(first: Term, *others: OptionalTerm) -> torch.Tensor:
    """The same in the memory of the first term's tensor, which must be the caller's own."""
    weight, tensor = first
    return _add(tensor.mul_(weight), others)


def _add(total: torch.Tensor, terms: Sequence[OptionalTerm]) -> torch.Tensor:
    for weight, tensor in terms:
        if weight != 0.0:
            total.add_(cast(torch.Tensor, tensor), alpha=weight)
    return total
