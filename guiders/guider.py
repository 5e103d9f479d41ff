"""A guider with a list of corrections around any guider of the host or of another pack.

What a guider does (conditions, ControlNet, masks, hooks, wrappers, the whole of ``cfg_function``) is still done by that
guider: it samples as if it were alone. Only the sampler that it starts is given, in its place, one whose predictions
are corrected. So it does not matter which of the host's methods a guider overrides.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import torch

from ..host.guiders import (
    CFGGuider,
    GuiderDelegate,
    Sampler,
    as_the_host_keeps_it,
    check_guider,
    guidance_scale,
    tell_about_cfg_pp,
)
from ..host.post_cfg_hooks import without_the_samplers_hooks
from ..instruments.guidance_record import attach
from .correction import Call, Correction, SamplingRun

__all__ = ["CorrectedGuider", "corrected"]

Predict = Callable[..., torch.Tensor]


def corrected(guider: CFGGuider, correction: Correction) -> CorrectedGuider:
    """A copy of ``guider`` with ``correction`` behind those that it has; ``guider`` stays as it is.

    Raises:
        ValueError: not a guider of the host's kind, or one that has such a correction already.
    """
    check_guider(guider)
    before: tuple[Correction, ...] = guider.corrections if isinstance(guider, CorrectedGuider) else ()
    if any(type(each) is type(correction) for each in before):
        raise ValueError(f"this guider is a {correction.name} already; change the settings of that node instead.")
    copied = copy.copy(guider.guider if isinstance(guider, CorrectedGuider) else guider)
    copied.original_conds = dict(copied.original_conds)
    return CorrectedGuider(copied, (*before, correction))


class CorrectedGuider(GuiderDelegate):
    """A guider whose predictions are corrected, the first correction nearest to the model."""

    own = GuiderDelegate.own | {"corrections", "sample"}

    def __init__(self, guider: CFGGuider, corrections: Sequence[Correction]) -> None:
        super().__init__(guider)
        vars(self)["corrections"] = tuple(corrections)

    def sample(self, noise: Any, latent_image: Any, sampler: Sampler, *more: Any, **named: Any) -> Any:
        """As the guider samples; the result carries what the corrections noted of this run."""
        for correction in self.corrections:
            correction.check(self.guider, latent_image)
        correcting = _CorrectingSampler(sampler, self.corrections)
        samples = self.guider.sample(noise, latent_image, correcting, *more, **named)
        if samples is latent_image:  # no sigmas: the host samples nothing, and the latent is the caller's
            return samples
        samples = as_the_host_keeps_it(samples)
        attach(samples, [correction.record for correction in self.corrections])
        return samples


class _CorrectingSampler(Sampler):
    """A sampler that asks a corrected guider instead of the one that it is given."""

    def __init__(self, sampler: Sampler, corrections: Sequence[Correction]) -> None:
        self._sampler, self._corrections = sampler, corrections

    def __getattr__(self, name: str) -> Any:
        """Whatever else somebody wants to know of a sampler."""
        return getattr(object.__getattribute__(self, "_sampler"), name)

    def sample(
        self,
        guider: CFGGuider,
        sigmas: torch.Tensor,
        extra_args: dict[str, Any],
        callback: Any,
        noise: torch.Tensor,
        *more: Any,
        **named: Any,
    ) -> torch.Tensor:
        """As the sampler samples. The corrections' runs begin here, when the model is loaded, and end here."""
        tell_about_cfg_pp(guider, self._sampler)
        run = SamplingRun(guider, sigmas, noise.shape, noise.device)
        with ExitStack() as stack:
            active = []
            for correction in map(copy.copy, self._corrections):
                correction.record.begin()
                if stack.enter_context(correction.run(run)):
                    active.append(correction)
            asked = _GuiderOfRun(guider, active) if active else guider
            return self._sampler.sample(asked, sigmas, extra_args, callback, noise, *more, **named)


class _GuiderOfRun(GuiderDelegate):
    """What the sampler asks during a run: predictions of ``guider``, corrected."""

    own = GuiderDelegate.own | {"corrections", "predict_noise", "_predict"}

    def __init__(self, guider: CFGGuider, corrections: Sequence[Correction]) -> None:
        super().__init__(guider)
        vars(self)["corrections"] = tuple(corrections)

    def __call__(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        model_options: Mapping[str, Any] | None = None,
        seed: int | None = None,
    ) -> torch.Tensor:
        """D' of the noisy latent ``x`` at ``timestep``."""
        return self._predict(Call(x, timestep, model_options or {}, seed), self.corrections, self.guider)

    def predict_noise(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        model_options: Mapping[str, Any] | None = None,
        seed: int | None = None,
    ) -> torch.Tensor:
        """The same without the host's wrappers; the host calls a clean latent by this name."""
        return self._predict(Call(x, timestep, model_options or {}, seed), self.corrections, self.guider.predict_noise)

    def _predict(self, call: Call, corrections: Sequence[Correction], predict: Predict) -> torch.Tensor:
        """D' from these corrections, the last of them outermost."""
        if not corrections:
            with guidance_scale(self.guider, call.cfg):
                return predict(call.x, call.timestep, model_options=call.model_options, seed=call.seed)
        *below, last = corrections
        denoised = self._predict(last.before(call), below, predict)

        def denoise(other: torch.Tensor) -> torch.Tensor:
            quiet = without_the_samplers_hooks(call.model_options, self.guider.model_options)
            return self._predict(replace(call, x=other, model_options=quiet), below, self.guider.predict_noise)

        return last.correct(denoised, replace(call, denoise=denoise))
