"""The sizes of what guidance does, call by call, and limits on them.

The limits are a post-CFG hook that runs before all others (the sampler's among them), so the host's own
``sampling_function`` and ``cfg_function`` do everything else. Without limits the hook returns what it was given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ..diffusion.sentence import Sentence
from ..host.guiders import (
    NO_OPTIONS,
    CFGGuider,
    flow_or_ve,
    sigma_at_percent,
    tell_about_cfg_pp,
    with_first_post_cfg_hook,
)
from ..host.notices import notify
from ..instruments.guidance_record import GuidanceRecord
from .limits import GuidanceLimits, rms

__all__ = ["NormGuider", "new_norm_record"]


def new_norm_record() -> GuidanceRecord:
    """What this guider notes at each call of the model, all per item and as a root mean square."""
    return GuidanceRecord(
        "Norm guider",
        {
            "gap": "|cond - uncond|",
            "guidance": "|guided - cond| after the limits",
            "denoised": "|D|, the prediction that the sampler gets",
            "direction": "|d|, d = (x - alpha D) / sigma",
        },
    )


class NormGuider(CFGGuider):
    """Records norms and limits guidance.

    norm_limits: see :class:`GuidanceLimits`.
    norm_record: see :func:`new_norm_record`.
    """

    norm_limits = GuidanceLimits()
    norm_record: GuidanceRecord | None = None

    def inner_sample(
        self, noise: torch.Tensor, latent_image: Any, device: Any, sampler: Any, *more: Any, **named: Any
    ) -> torch.Tensor:
        """Start a fresh record, and find the interval's noise levels."""
        tell_about_cfg_pp(self, sampler)
        if self.norm_record is not None:
            self.norm_record.clear()
        self._warned = False
        self._interval = (
            sigma_at_percent(self, self.norm_limits.start_percent),
            sigma_at_percent(self, self.norm_limits.end_percent),
        )
        return super().inner_sample(noise, latent_image, device, sampler, *more, **named)

    def predict_noise(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        model_options: Mapping[str, Any] = NO_OPTIONS,
        seed: int | None = None,
    ) -> torch.Tensor:
        """The denoised latents (the host's name for them is what it is)."""
        sigma = float(timestep[0])
        guides = not self.norm_limits.has_interval or self._interval[1] <= sigma <= self._interval[0]
        norms: dict[str, list[float]] = {}

        def limit(args: dict[str, Any]) -> torch.Tensor:
            cond = args["cond_denoised"]
            limited = self.norm_limits.apply(args["denoised"], cond) if guides else cond
            if args["uncond"] is not None:  # else the host did not compute it
                norms["gap"] = _per_item(cond - args["uncond_denoised"])
            norms["guidance"] = _per_item(limited - cond)
            return limited

        cfg = self.cfg
        try:
            if not guides:
                self.cfg = 1.0  # lets the host skip the unconditional prediction
            options = with_first_post_cfg_hook(model_options, limit)
            denoised = super().predict_noise(x, timestep, options, seed)
        finally:
            self.cfg = cfg
        if not norms and not self._warned:
            self._warned = True
            notify(
                Sentence(
                    "Norm Guider: {guider} does not use ComfyUI's cfg_function, so its guidance is neither limited nor "
                    "recorded; put the Norm Guider on CFGGuider instead.",
                    guider=type(self).__name__,
                )
            )
        if self.norm_record is not None:
            d = (x - flow_or_ve(self).alpha(timestep[0]) * denoised) / timestep[0]
            self.norm_record.add(sigma, **norms, denoised=_per_item(denoised), direction=_per_item(d))
        return denoised


def _per_item(x: torch.Tensor) -> list[float]:
    return rms(x.float()).flatten().tolist()
