r"""Coordinates of a noisy latent: :math:`x = \alpha x_0 + \sigma \varepsilon`.

Diffusion models differ in how :math:`\alpha` follows from :math:`\sigma`:

* **VE**, variance exploding: :math:`\alpha = 1`. ComfyUI's EPS, V_PREDICTION and EDM models.
* **CONST**, a flow: :math:`\alpha = 1 - \sigma`, with :math:`\sigma` in [0, 1].

Dividing by :math:`\alpha` turns each into VE: :math:`x_{ve} = x/\alpha`, :math:`\sigma_{ve} = \sigma/\alpha`, while the
denoiser's output stays what it is. So a sampler writes its step once, in VE coordinates. The half log-SNR is
:math:`\lambda = \log(\alpha/\sigma) = -\log\sigma_{ve}` (Kingma et al., arXiv 2107.00630).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import torch

Scalar = TypeVar("Scalar", float, torch.Tensor)

__all__ = ["CONST", "VE", "Parameterization", "parameterization_of"]


@dataclass(frozen=True)
class Parameterization:
    """How alpha follows from sigma, and the maps to VE coordinates and back.

    ``sigma`` may be a float or a tensor that broadcasts against ``x``; every method keeps its kind. Sigma is in the
    model's own units: any non-negative number for VE, [0, 1] for CONST.
    """

    name: str

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

    def sigma_ve(self, sigma: Scalar) -> Scalar:
        """sigma / alpha: the noise level of the same latent in VE coordinates; infinite for a flow at sigma = 1."""
        if not self.is_flow:
            return sigma
        if isinstance(sigma, torch.Tensor):
            return sigma / (1.0 - sigma)
        return sigma / (1.0 - sigma) if sigma < 1.0 else float("inf")

    def sigma_from_ve(self, sigma_ve: Scalar) -> Scalar:
        """The model's own sigma of a VE noise level; the inverse of :meth:`sigma_ve`."""
        if not self.is_flow:
            return sigma_ve
        if isinstance(sigma_ve, torch.Tensor):
            return torch.where(torch.isinf(sigma_ve), torch.ones_like(sigma_ve), sigma_ve / (1.0 + sigma_ve))
        return 1.0 if sigma_ve == float("inf") else sigma_ve / (1.0 + sigma_ve)

    def half_log_snr(self, sigma: Scalar) -> Scalar:
        """lambda = log(alpha / sigma); minus infinity for a flow at sigma = 1, infinity at sigma = 0."""
        as_tensor = torch.as_tensor(sigma, dtype=None if isinstance(sigma, torch.Tensor) else torch.float64)
        value = -self.sigma_ve(as_tensor).log()
        return value if isinstance(sigma, torch.Tensor) else value.item()

    def sigma_from_half_log_snr(self, half_log_snr: Scalar) -> Scalar:
        """The sigma at which log(alpha / sigma) is ``half_log_snr``."""
        is_tensor = isinstance(half_log_snr, torch.Tensor)
        value = torch.as_tensor(half_log_snr, dtype=None if is_tensor else torch.float64)
        # sigma = 1/(1 + e^lambda) for a flow: sigmoid does not overflow where e^lambda would.
        sigma = torch.sigmoid(-value) if self.is_flow else torch.exp(-value)
        return sigma if is_tensor else sigma.item()

    def to_ve(self, x: torch.Tensor, sigma: float | torch.Tensor) -> torch.Tensor:
        """x / alpha. Infinite for a flow at sigma = 1: a sampler takes that limit in its own step."""
        return x / self.alpha(sigma) if self.is_flow else x

    def from_ve(self, x_ve: torch.Tensor, sigma: float | torch.Tensor) -> torch.Tensor:
        """alpha · x_ve, the inverse of :meth:`to_ve`."""
        return x_ve * self.alpha(sigma) if self.is_flow else x_ve


VE = Parameterization("VE")
CONST = Parameterization("CONST")


def parameterization_of(model: Any) -> Parameterization:
    """The parameterization that ``model`` declares in its attribute ``parameterization``; VE when it declares none.

    Inside ComfyUI the ``host`` room reads the host's own model sampling instead and hands the answer to the sampler.
    """
    declared = getattr(model, "parameterization", VE)
    if not isinstance(declared, Parameterization):
        raise ValueError(
            f"model.parameterization is {declared!r}; it must be parameterization.VE or parameterization.CONST."
        )
    return declared
