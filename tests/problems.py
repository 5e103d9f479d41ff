"""Denoising problems with exact answers: Gaussian mixtures, on VE and on flow models, with guidance as ComfyUI does it.

For x = alpha·x0 + sigma·eps and x0 from a mixture of isotropic Gaussians, E[x0 | x] is a softmax of affine functions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sampler_lab.diffusion.parameterization import CONST, VE
from scipy.integrate import solve_ivp

__all__ = ["CONST", "GUIDED", "ONE_GAUSSIAN", "PRIOR", "VE", "GuidedModel", "Mixture", "reference_solution"]


@dataclass(frozen=True)
class Mixture:
    """sum_k weights[k]·N(means[k], deviations[k]²) for every value of a latent, all values independent."""

    weights: tuple[float, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]

    def denoise(self, x: torch.Tensor, alpha: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """E[x0 | x]; ``alpha`` and ``sigma`` broadcast against ``x``. Finite at alpha = 0."""
        column = (-1, *[1] * x.ndim)
        weights, means, deviations = (
            torch.tensor(v, dtype=x.dtype).reshape(column) for v in (self.weights, self.means, self.deviations)
        )
        variance = alpha**2 * deviations**2 + sigma**2
        offset = x - alpha * means
        responsibility = torch.softmax(weights.log() - variance.log() / 2 - offset**2 / (2 * variance), dim=0)
        return (responsibility * (means + alpha * deviations**2 / variance * offset)).sum(0)


class GuidedModel:
    """A denoiser called as ComfyUI calls models, with classifier-free guidance and the host's post-CFG hooks.

    ``scale`` 1 is the conditional prediction alone. ``negative`` None: no negative conditioning, for which the host
    hands zeros to the hooks. ``calls`` keeps every sigma it was called with.
    """

    def __init__(self, parameterization, cond, uncond=None, scale=1.0, negative=("negative",)):
        self.parameterization = parameterization
        self.cond, self.uncond = cond, uncond or cond
        self.scale, self.negative = scale, negative
        self.calls = []

    def predictions(self, x, sigma):
        sigma = sigma.reshape(-1, *[1] * (x.ndim - 1)).to(x.dtype)
        alpha = self.parameterization.alpha(sigma)
        return self.cond.denoise(x, alpha, sigma), self.uncond.denoise(x, alpha, sigma)

    def __call__(self, x, sigma, model_options=None, seed=None, denoise_mask=None):
        assert sigma.shape == (len(x),)
        self.calls.append(float(sigma[0]))
        options = model_options or {}
        cond, uncond = self.predictions(x, sigma)
        if self.negative is None or (self.scale == 1.0 and not options.get("disable_cfg1_optimization")):
            uncond = torch.zeros_like(x)
            denoised = cond
        else:
            denoised = uncond + (cond - uncond) * self.scale
        for hook in options.get("sampler_post_cfg_function", []):
            denoised = hook(
                {"denoised": denoised, "cond_denoised": cond, "uncond_denoised": uncond, "uncond": self.negative}
            )
        return denoised


#: A smooth prior with structure at several levels, its conditional sibling, and a single Gaussian.
PRIOR = Mixture((0.3, 0.5, 0.2), (-1.5, 0.2, 1.4), (0.3, 0.5, 0.25))
GUIDED = Mixture((0.1, 0.3, 0.6), (-1.5, 0.2, 1.4), (0.3, 0.5, 0.25))
ONE_GAUSSIAN = Mixture((1.0,), (0.7,), (0.5,))


def reference_solution(model: GuidedModel, x: torch.Tensor, sigma: float, sigma_end: float) -> torch.Tensor:
    """x carried along the probability-flow ODE to ``sigma_end``, by adaptive integration to 1e-12.

    In the model's own coordinates dx/dsigma = (x - D)/sigma, for VE and for a flow (there: alpha = 1 - sigma); finite
    from sigma = 1.
    """

    def derivative(level, flat):
        state = torch.from_numpy(np.asarray(flat)).reshape(x.shape)
        cond, _ = model.predictions(state, torch.full((len(x),), level, dtype=torch.float64))
        return ((state - cond) / level).flatten().numpy()

    solution = solve_ivp(
        derivative, (sigma, sigma_end), x.double().flatten().numpy(), method="DOP853", rtol=1e-12, atol=1e-12
    )
    assert solution.success
    return torch.from_numpy(solution.y[:, -1]).reshape(x.shape)
