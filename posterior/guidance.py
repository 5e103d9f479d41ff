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

tau is the standard deviation of a measured value, as everywhere in this pack: the likelihood is exp(-L / (2 tau²)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..diffusion.options import Options, option, option_like
from ..diffusion.parameterization import Parameterization
from ..diffusion.tensors import finite_rows, per_row, rms
from .decoding import MICRO_BATCH, PRECISION, Decoding
from .likelihood import Likelihood

__all__ = ["COVARIANCES", "FORMS", "GuidanceOptions", "guide"]

FORMS = ("matched", "dps", "dps_normalised")
COVARIANCES = ("isotropic", "difference")

#: Step of the difference quotient, relative to sigma: large enough for half precision, small enough for curvature.
DIFFERENCE_STEP = 0.1
#: Above this VE level dD/dx drowns in rounding while C has become the prior's covariance, which "isotropic" assumes.
LARGEST_DIFFERENCE_SIGMA = 10.0


@dataclass(frozen=True)
class GuidanceOptions(Options):
    """How the measurement pulls at the denoiser's output. The symbols are those of the module's docstring."""

    weight: float = option(
        1.0,
        "Weight of the measurement against the model. 1: as derived, for the form matched; the dps forms need tuning. "
        "0: the measurement is left out.",
        minimum=0.0,
        maximum=1000.0,
        step=0.01,
    )
    form: str = option(
        "matched",
        "matched: allows for how uncertain the model still is, needs no tuning. dps: as if the model's guess were "
        "certain, weights far below 1. dps_normalised: steps of a size that weight sets, as the published code does.",
        choices=FORMS,
    )
    covariance: str = option(
        "isotropic",
        "How a pull on the image becomes a pull on the latent. isotropic: every value alike, no extra cost. "
        "difference: through the model, as DPS has it; twice the model calls.",
        choices=COVARIANCES,
        advanced=True,
    )
    tau: float = option(
        0.0,
        "Assumed standard deviation of a measured value: the likelihood is exp(-residual / (2 tau²)). Larger trusts "
        "the measurement less. 0: from the measurement's own noise.",
        minimum=0.0,
        maximum=100.0,
        step=0.001,
        advanced=True,
    )
    micro_batch: int = option_like(
        MICRO_BATCH,
        description="Items decoded at a time. 0: all. Choose 1 when memory runs out; results do not change.",
    )
    precision: str = option_like(
        PRECISION,
        default="full",
        description="Of the decoder. auto: bfloat16 on processors that have it in hardware, faster. full: the VAE's "
        "own. On a GPU both are the VAE's own.",
    )

    def check(self) -> None:
        """Raise a ``ValueError`` for a value that is not allowed; a tau whose square is 0 is one."""
        super().check()
        if self.tau**2 == 0 < self.tau:  # 1e-300 squared is 0
            raise ValueError(f"tau is {self.tau}; it must be 0 (the measurement's own) or a positive number.")

    @property
    def decoding(self) -> Decoding:
        """How the latents are decoded."""
        return Decoding(self.micro_batch, self.precision)

    def variance(self, likelihood: Likelihood) -> float:
        """tau²: the option's, or the mean square that the noise alone leaves in a measured value."""
        measurement = likelihood.measurement
        return self.tau**2 if self.tau > 0 else measurement.noise_floor / measurement.count


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
        variance: float | torch.Tensor = options.variance(likelihood)
        if options.form == "matched":
            # A covariance is positive; a difference quotient of a real network need not be.
            variance = variance + ((gradient * spread).flatten(1).sum(1) / (4 * level)).clamp_min(0)
        k = options.weight / (2 * variance) * torch.ones_like(level)
    shift = per_row(k, x) * spread
    finite = per_row(finite_rows(shift), x)
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
    size = per_row(rms(gradient), x)
    direction = torch.where(size > 0, gradient / size, torch.zeros_like(gradient))
    step = DIFFERENCE_STEP * sigma
    slope = (denoise(x + step * direction) - denoised) / step
    return parameterization.noise_deviation(sigma) ** 2 / parameterization.alpha(sigma) * slope * size
