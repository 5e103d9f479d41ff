"""What every sampler does besides its formula: calling the model, the callback, the progress bar, noise, precision."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from tqdm.auto import tqdm

from ..diffusion.parameterization import Parameterization, parameterization_of
from ..diffusion.particle_noise import ParticleNoise
from .steps import Step, plan
from .unconditional import UnconditionalPrediction

__all__ = ["Callback", "Model", "NoiseSampler", "Run"]

#: ``model(x [N, ...], sigma [N], **extra_args) -> denoised [N, ...]``
Model = Callable[..., torch.Tensor]
#: Called once a step with a dict of ``x, i, sigma, sigma_hat, denoised``; raising from it cancels the run.
Callback = Callable[[dict[str, Any]], None]
#: ``noise_sampler(sigma, sigma_next)``, k-diffusion's convention: standard normal noise shaped like the latent.
NoiseSampler = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Run:
    """One sampling run. A sampler starts from ``run.x``, walks ``run.steps()``, and returns the last x.

    Half-precision latents are kept in float32 between the model calls: a step adds small differences to large values.
    The model always sees the caller's own dtype.

    Args:
        model: the denoiser, called with x ``[N, ...]``, sigma ``[N]`` and ``extra_args``.
        x: noisy latents at ``sigmas[0]``, ``[N, ...]`` with any number of dimensions; not changed.
        sigmas: levels ``[n + 1]`` in the model's own units, falling, usually to 0. Fewer than two: x comes back.
        extra_args: handed to the model; not changed. ``seed`` seeds the noise, ``denoise_mask`` is honoured.
        callback: called once a step.
        disable: True hides the progress bar.
        parameterization: VE or CONST; asked of the model if None.
        noise_sampler: where noise comes from; one stream per item, from the seed, if None.
    """

    def __init__(
        self,
        model: Model,
        x: torch.Tensor,
        sigmas: torch.Tensor,
        extra_args: dict[str, Any] | None = None,
        callback: Callback | None = None,
        disable: bool | None = None,
        parameterization: Parameterization | None = None,
        noise_sampler: NoiseSampler | None = None,
    ) -> None:
        self.model = model
        self.x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        self.given = x
        self.sigmas = sigmas
        given = parameterization or parameterization_of(model)
        #: In units of the noise's own deviation a step is the same whatever that is; only fresh noise is scaled by it.
        self.parameterization = given.with_noise_scale(1.0)
        self.noise_scale = given.noise_scale
        self.extra_args = {} if extra_args is None else extra_args
        self.unconditional: UnconditionalPrediction | None = None
        self._callback = callback
        self._disable = disable
        self.noise_sampler = noise_sampler
        self._noise: ParticleNoise | None = None

    def capture_unconditional(self) -> None:
        """For CFG++: from now on u is the model's unconditional prediction, and no longer D itself."""
        self.unconditional = UnconditionalPrediction(self.extra_args)
        self.extra_args = self.unconditional.extra_args

    def steps(self, may_rise: bool = True) -> Iterable[Step]:
        """The steps, under a progress bar.

        Raises:
            ValueError: sigmas that cannot be walked; see :func:`plan`. Before any model call.
        """
        return self.progress(plan(self.sigmas, self.parameterization, may_rise))

    def progress(self, steps: Iterable[Any]) -> Iterable[Any]:
        """``steps`` under a progress bar."""
        return tqdm(steps, disable=self._disable)

    def denoise(self, x: torch.Tensor, sigma: float) -> tuple[torch.Tensor, torch.Tensor]:
        """D(x; sigma) and its unconditional sibling u; without CFG++ they are one tensor."""
        level = self.x.new_full((len(x),), sigma)
        D = self.model(x.to(self.given.dtype), level, **self.extra_args).to(self.x.dtype)
        if self.unconditional is None:
            return D, D
        u = self.unconditional.take(D)
        if u is D:
            return D, D
        return D, self._inside_mask(D, u.to(self.x.dtype), level)

    def predict(self, x: torch.Tensor, step: Step) -> tuple[torch.Tensor, torch.Tensor]:
        """D and u at the start of ``step``, reported to the callback."""
        D, u = self.denoise(x, step.sigma)
        if self._callback is not None:
            self.report(x, step.i, self.sigmas.new_tensor(step.sigma), D)
        return D, u

    def report(self, x: torch.Tensor, i: int, sigma: torch.Tensor, denoised: torch.Tensor) -> None:
        """Tell the callback about step ``i``."""
        if self._callback is not None:
            self._callback({"x": x, "i": i, "sigma": sigma, "sigma_hat": sigma, "denoised": denoised})

    def add_noise(self, x: torch.Tensor, deviation: float, step: Step) -> torch.Tensor:
        """``x`` (changed in place: hand over a tensor of your own) plus fresh noise of this deviation, if not 0.

        ``deviation`` is the formula's, for standard normal noise; the model's ``noise_scale`` multiplies it.
        """
        deviation *= self.noise_scale
        if deviation == 0.0:
            return x
        if self.noise_sampler is not None:
            noise = self.noise_sampler(*self.sigmas.new_tensor([step.sigma, step.sigma_next]))
        else:
            if self._noise is None:
                self._noise = ParticleNoise(self.extra_args.get("seed") or 0)
            noise = self._noise(x)
        return x.add_(noise, alpha=deviation)

    def _inside_mask(self, D: torch.Tensor, u: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        """u where the mask lets the model paint; D elsewhere.

        ComfyUI puts the given picture into D outside the mask, after the hooks that u comes from. Left as it is, u
        there would not belong to D, and their difference would be taken for guidance.
        """
        mask = self.extra_args.get("denoise_mask")
        if mask is None:
            return u
        adjust = self.extra_args["model_options"].get("denoise_mask_function")
        if adjust is not None:
            mask = adjust(
                level, mask, extra_options={"model": cast(Any, self.model).inner_model, "sigmas": self.sigmas}
            )
        return torch.lerp(D, u, mask.to(u.dtype).expand_as(u))
