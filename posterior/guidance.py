r"""Likelihood guidance: the denoiser of the posterior from the denoiser of the prior, for any sampler.

Diffusion posterior sampling (DPS; Chung et al., arXiv 2209.14687) adds the gradient of the measurement's likelihood at
D(x), the estimate of the clean latent, to the score. With L = ||A(dec(D)) - y||², g = dL/dD and C = sigma_ve² ·
dD/dx_ve, which is the covariance of x0 given x (Tweedie's second-order formula), every form below is

.. math:: D' = D - k \, C g .

* ``dps``: k = w / (2 tau²), the likelihood as if D were x0. Stiff: the weight w has to be tuned, well below 1.
* ``dps_normalised``: k = w / (2 sqrt(L)), the gradient of sqrt(L), which the published code uses. w has to be tuned.
* ``matched``: k = w / (2 (tau² + g^T C g / 4L)). D is uncertain, by C, and so is A(D): its variance along the residual
  is g^T C g/4L per value. Exact for w = 1 where prior and measurement are Gaussian and A treats all directions alike;
  with tau -> 0 it becomes a Gauss–Newton step. Pseudo-inverse guidance (Song et al., ICLR 2023) does the same for
  linear A.

C is either taken as the variance of x0 given x for data of unit variance, sigma²/(1 + sigma²) times the identity (no
further call of the model), or applied to g by one more call: C is symmetric, so Cg is a difference quotient of the
denoiser along g. Neither needs a gradient through the model, which ComfyUI's loaded weights do not allow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch

from ..diffusion.parameterization import Parameterization
from .decoding import PRECISIONS
from .likelihood import Likelihood

__all__ = ["COVARIANCES", "FORMS", "GuidanceOptions", "guide"]

FORMS = ("matched", "dps", "dps_normalised")
COVARIANCES = ("isotropic", "difference")

#: Step of the difference quotient, relative to sigma: large enough for half precision, small enough for curvature.
DIFFERENCE_STEP = 0.1
#: Above this VE level dD/dx drowns in rounding while C has become the prior's covariance, which "isotropic" assumes.
LARGEST_DIFFERENCE_SIGMA = 10.0


@dataclass(frozen=True)
class GuidanceOptions:
    """How the measurement pulls at the denoiser's output.

    weight: w; 0 leaves the measurement out.
    form: one of :data:`FORMS`.
    covariance: one of :data:`COVARIANCES`; "difference" costs a second model call per step.
    tau: standard deviation of a measured value; 0 takes the measurement's own, sqrt(noise floor / values).
    micro_batch: particles that are decoded together; 0 for all.
    precision: "auto" or "full", of the decoder; see :func:`decoder_autocast`.
    """

    weight: float = 1.0
    form: str = "matched"
    covariance: str = "isotropic"
    tau: float = 0.0
    micro_batch: int = 0
    precision: str = "full"

    def __post_init__(self) -> None:
        if not 0 <= self.weight < float("inf"):
            raise ValueError(f"weight is {self.weight}; it must be 0 (off) or a positive number.")
        if self.form not in FORMS:
            raise ValueError(f"form is {self.form!r}; choose one of {', '.join(FORMS)}.")
        if self.covariance not in COVARIANCES:
            raise ValueError(f"covariance is {self.covariance!r}; choose one of {', '.join(COVARIANCES)}.")
        if not 0 <= self.tau < float("inf") or self.tau**2 == 0 < self.tau:  # 1e-300 squared is 0
            raise ValueError(f"tau is {self.tau}; it must be 0 (the measurement's own) or a positive number.")
        if self.micro_batch < 0:
            raise ValueError(f"micro_batch is {self.micro_batch}; it must be 0 (all particles at once) or more.")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is {self.precision!r}; choose one of {', '.join(PRECISIONS)}.")

    def variance(self, likelihood: Likelihood) -> float:
        """tau²."""
        measurement = likelihood.measurement
        return self.tau**2 if self.tau > 0 else measurement.noise_floor / measurement.count

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for the run's record."""
        return asdict(self)


def guide(
    denoised: torch.Tensor,
    x: torch.Tensor,
    sigma: torch.Tensor,
    parameterization: Parameterization,
    likelihood: Likelihood,
    options: GuidanceOptions,
    denoise: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """D' and the residual L of D.

    Args:
        denoised: D(x), clean latents ``[N, ...]`` in the model's scale.
        x: noisy latents ``[N, ...]`` in the model's own coordinates.
        sigma: their level, 0-dimensional, in the model's own units.
        parameterization: VE or CONST.
        likelihood: the measurement and the decoder.
        options: see :class:`GuidanceOptions`.
        denoise: D at this level, called once with other latents; only for the covariance "difference".

    Returns:
        D' ``[N, ...]`` and L ``[N]``. A row whose residual or gradient is not finite is left unguided.
    """
    residual, gradient = likelihood.residual_and_gradient(denoised)
    sigma_ve = parameterization.sigma_ve(sigma)
    if options.covariance == "difference" and denoise is not None and sigma_ve <= LARGEST_DIFFERENCE_SIGMA:
        spread = _covariance_times(gradient, denoised, x, sigma, parameterization, denoise)
    else:
        # sigma²/(1 + sigma²) without overflow at a flow's sigma = 1, where it is 1.
        spread = gradient / (1 + sigma_ve**-2)
    level = residual.clamp_min(torch.finfo(residual.dtype).tiny)
    if options.form == "dps_normalised":
        k = options.weight / (2 * level.sqrt())
    else:
        variance = options.variance(likelihood)
        if options.form == "matched":
            # A covariance is positive; a difference quotient of a real network need not be.
            variance = variance + ((gradient * spread).flatten(1).sum(1) / (4 * level)).clamp_min(0)
        k = options.weight / (2 * variance) * torch.ones_like(level)
    shift = k.reshape(-1, *[1] * (x.ndim - 1)) * spread
    finite = torch.isfinite(shift.flatten(1)).all(1).reshape(-1, *[1] * (x.ndim - 1))
    return torch.where(finite, denoised - shift.to(denoised), denoised), residual


def _covariance_times(
    gradient: torch.Tensor,
    denoised: torch.Tensor,
    x: torch.Tensor,
    sigma: torch.Tensor,
    parameterization: Parameterization,
    denoise: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """C g = sigma_ve² dD/dx_ve g by a forward difference; x_ve = x/alpha, so that C = (k² sigma²/alpha) dD/dx,
    k the noise scale."""
    size = gradient.flatten(1).square().mean(1).sqrt().reshape(-1, *[1] * (x.ndim - 1))
    direction = torch.where(size > 0, gradient / size, torch.zeros_like(gradient))
    step = DIFFERENCE_STEP * sigma
    slope = (denoise(x + step * direction) - denoised) / step
    return parameterization.noise_deviation(sigma) ** 2 / parameterization.alpha(sigma) * slope * size
