r"""Coordinates of a noisy latent: :math:`x = \alpha x_0 + \sigma k \varepsilon`, :math:`\varepsilon` standard normal.

Diffusion models differ in how :math:`\alpha` follows from :math:`\sigma`:

* **VE**, variance exploding: :math:`\alpha = 1`. ComfyUI's EPS, V_PREDICTION and EDM models.
* **CONST**, a flow: :math:`\alpha = 1 - \sigma`, with :math:`\sigma` in [0, 1].

The noise scale k is 1 but for models that were trained on stronger noise (HiDream-O1: 8). Dividing by :math:`\alpha`
turns each into VE: :math:`x_{ve} = x/\alpha`, :math:`\sigma_{ve} = k\sigma/\alpha`, while the denoiser's output stays
what it is. So a sampler writes its step once, in VE coordinates. The half log-SNR is
:math:`\lambda = \log(\alpha/\sigma) = -\log\sigma_{ve}` (Kingma et al., arXiv 2107.00630).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import torch

Scalar = TypeVar("Scalar", float, torch.Tensor)

__all__ = ["CONST", "VE", "Parameterization", "parameterization_of"]


@dataclass(frozen=True)
class Parameterization:
    """How alpha follows from sigma, and the maps to VE coordinates and back.

    ``sigma`` may be a float or a tensor that broadcasts against ``x``; every method keeps its kind. Sigma is in the
    model's own units: any non-negative number for VE, [0, 1] for CONST. ``noise_scale`` is k above: the deviation of
    the noise that sigma multiplies. 0, with which nothing is ever noisy, has no way back from a level to a sigma.
    """

    name: str
    noise_scale: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.noise_scale) and self.noise_scale >= 0):
            raise ValueError(f"the model's noise scale is {self.noise_scale}; it must be a finite number from 0 on.")

    def with_noise_scale(self, noise_scale: float) -> Parameterization:
        """The same with another noise scale."""
        return self if noise_scale == self.noise_scale else replace(self, noise_scale=float(noise_scale))

    @property
    def is_flow(self) -> bool:
        """True when alpha = 1 - sigma."""
        return self.name == "CONST"

    @property
    def sigma_limit(self) -> float:
        """The largest sigma that means anything: infinity for VE, 1 for a flow."""
        return 1.0 if self.is_flow else float("inf")

    def alpha(self, sigma: Scalar) -> Scalar:
        """The signal's scale at ``sigma``."""
        return 1.0 - sigma if self.is_flow else sigma * 0.0 + 1.0

    def noise_deviation(self, sigma: Scalar) -> Scalar:
        """The standard deviation of the noise in x at ``sigma``: what a standard normal draw is multiplied by."""
        return sigma if self.noise_scale == 1.0 else self.noise_scale * sigma

    def sigma_ve(self, sigma: Scalar) -> Scalar:
        """The noise's deviation in x/alpha, which is the level in VE coordinates; infinite where alpha = 0."""
        deviation = self.noise_deviation(sigma)
        if not self.is_flow:
            return deviation
        if isinstance(sigma, torch.Tensor):
            return deviation / (1.0 - sigma)
        return deviation / (1.0 - sigma) if sigma < 1.0 else float("inf")

    def sigma_from_ve(self, sigma_ve: Scalar) -> Scalar:
        """The model's own sigma of a VE noise level; the inverse of :meth:`sigma_ve`.

        Raises:
            ValueError: the noise scale is 0.
        """
        if self.noise_scale == 0.0:
            raise ValueError("the model's noise scale is 0, so no noise level can be reached; set it above 0.")
        ratio = sigma_ve if self.noise_scale == 1.0 else sigma_ve / self.noise_scale  # sigma/alpha
        if not self.is_flow:
            return ratio
        if isinstance(ratio, torch.Tensor):
            return torch.where(torch.isinf(ratio), torch.ones_like(ratio), ratio / (1.0 + ratio))
        return 1.0 if ratio == float("inf") else ratio / (1.0 + ratio)

    def half_log_snr(self, sigma: Scalar) -> Scalar:
        """lambda = -log(sigma_ve); minus infinity for a flow at sigma = 1, infinity at sigma = 0."""
        as_tensor = torch.as_tensor(sigma, dtype=None if isinstance(sigma, torch.Tensor) else torch.float64)
        value = -self.sigma_ve(as_tensor).log()
        return value if isinstance(sigma, torch.Tensor) else value.item()

    def sigma_from_half_log_snr(self, half_log_snr: Scalar) -> Scalar:
        """The sigma at which :meth:`half_log_snr` is this.

        Raises:
            ValueError: the noise scale is 0.
        """
        if self.noise_scale == 0.0:
            raise ValueError("the model's noise scale is 0, so no noise level can be reached; set it above 0.")
        is_tensor = isinstance(half_log_snr, torch.Tensor)
        value = torch.as_tensor(half_log_snr, dtype=None if is_tensor else torch.float64) + math.log(self.noise_scale)
        # sigma = 1/(1 + e^lambda) for a flow: sigmoid does not overflow where e^lambda would.
        sigma = torch.sigmoid(-value) if self.is_flow else torch.exp(-value)
        return cast(Scalar, sigma if is_tensor else sigma.item())

    def to_ve(self, x: torch.Tensor, sigma: Scalar) -> torch.Tensor:
        """x / alpha. Infinite for a flow at sigma = 1: a sampler takes that limit in its own step."""
        return x / self.alpha(sigma) if self.is_flow else x

    def from_ve(self, x_ve: torch.Tensor, sigma: Scalar) -> torch.Tensor:
        """alpha · x_ve, the inverse of :meth:`to_ve`."""
        return x_ve * self.alpha(sigma) if self.is_flow else x_ve


VE = Parameterization("VE")
CONST = Parameterization("CONST")


def parameterization_of(model: Any) -> Parameterization:
    """The parameterization that ``model`` declares in its attribute ``parameterization``; VE when it declares none.

    Inside ComfyUI the layer ``host`` reads the host's own model sampling instead and hands the answer to the sampler.
    """
    declared = getattr(model, "parameterization", VE)
    if not isinstance(declared, Parameterization):
        raise ValueError(
            f"model.parameterization is {declared!r}; it must be parameterization.VE or parameterization.CONST."
        )
    return declared
