"""The sizes of what guidance does, call by call, and limits on them.

The limits are a post-CFG hook that runs before all others (the sampler's among them), so the host's own
``sampling_function`` and ``cfg_function`` do everything else. Without limits the hook returns what it was given.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from ..diffusion.sentence import Sentence
from ..diffusion.tensors import rms
from ..host.guiders import sigma_at_percent
from ..host.notices import notify
from ..host.post_cfg_hooks import with_first_post_cfg_hook
from .correction import Call, Correction, SamplingRun
from .limits import GuidanceLimits

__all__ = ["NormCorrection"]


class NormCorrection(Correction):
    """Records norms and limits guidance."""

    name = "NormGuider"

    def __init__(self, limits: GuidanceLimits | None = None) -> None:
        super().__init__(
            "Norm guider",
            gap="|cond - uncond|",
            guidance="|guided - cond| after the limits",
            denoised="|D|, the prediction that the sampler gets",
            direction="|d|, d = (x - alpha D) / sigma",
        )
        self.limits = limits or GuidanceLimits()

    @contextmanager
    def run(self, run: SamplingRun) -> Iterator[bool]:
        """Find the interval's noise levels."""
        self._parameterization = run.parameterization
        self._highest = sigma_at_percent(run.guider, self.limits.start_percent)
        self._lowest = sigma_at_percent(run.guider, self.limits.end_percent)
        self._kind_of_guider = type(run.guider).__name__
        self._warned = False
        yield True

    def before(self, call: Call) -> Call:
        """Limit what the host's ``cfg_function`` returns; outside the interval, let it skip the negative."""
        guides = not self.limits.has_interval or self._lowest <= float(call.sigma) <= self._highest
        self._norms: dict[str, list[float]] = {}
        options = with_first_post_cfg_hook(call.model_options, lambda arguments: self._limit(arguments, guides))
        return replace(call, model_options=options, cfg=call.cfg if guides else 1.0)

    def _limit(self, arguments: dict[str, Any], guides: bool) -> torch.Tensor:
        cond = arguments["cond_denoised"]
        limited = self.limits.apply(arguments["denoised"], cond) if guides else cond
        if self._norms:
            return limited  # a further call, for a correction below: of other latents than the sampler's
        if arguments["uncond"] is not None:  # else the host did not compute it
            self._norms["gap"] = _per_item(cond - arguments["uncond_denoised"])
        self._norms["guidance"] = _per_item(limited - cond)
        return limited

    def correct(self, denoised: torch.Tensor, call: Call) -> torch.Tensor:
        """D itself: it is limited already, and is noted here."""
        if not self._norms and not self._warned:
            self._warned = True
            notify(
                Sentence(
                    "Norm Guider: {guider} does not use ComfyUI's cfg_function, so its guidance is neither limited nor "
                    "recorded; put the Norm Guider on CFGGuider instead.",
                    guider=self._kind_of_guider,
                )
            )
        d = (call.x - self._parameterization.alpha(call.sigma) * denoised) / call.sigma
        self.record.add(float(call.sigma), **self._norms, denoised=_per_item(denoised), direction=_per_item(d))
        return denoised


def _per_item(x: torch.Tensor) -> list[float]:
    return rms(x.float()).tolist()
