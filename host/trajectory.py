"""Recording a sampler of the host: the prediction at every step of its latest run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.samplers
import torch

__all__ = ["Trajectory", "recording"]

#: Values kept of a prediction. A mean over them stands for a mean over all, and a long video stays small.
KEPT = 65_536


class Trajectory:
    """Sigmas and predictions of one run."""

    def __init__(self) -> None:
        self._sigmas: list[float] = []
        self._denoised: list[torch.Tensor] = []

    def clear(self) -> None:
        """Forget the last run."""
        self._sigmas.clear()
        self._denoised.clear()

    def note(self, sigma: float, denoised: torch.Tensor) -> None:
        """Add the prediction ``[N, ...]`` made at ``sigma``; of many values, evenly spaced ones."""
        values = denoised.detach().flatten()
        self._sigmas.append(sigma)
        self._denoised.append(values[:: -(-len(values) // KEPT)].float().cpu())

    def levels(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Sigmas ``[m]`` and predictions ``[m, values]`` at every level above 0.

        Raises:
            ValueError: nothing was recorded yet.
        """
        if not self._sigmas:
            raise ValueError(
                "the trajectory is empty; connect Record Trajectory's sampler to SamplerCustomAdvanced, and that one's "
                "output to the latent input, so that the recorded run comes first."
            )
        kept = [k for k, sigma in enumerate(self._sigmas) if sigma > 0]
        return torch.tensor([self._sigmas[k] for k in kept]), torch.stack([self._denoised[k] for k in kept])


def recording(sampler: Any, trajectory: Trajectory) -> comfy.samplers.KSAMPLER:
    """The same SAMPLER, which also writes each of its runs into ``trajectory``.

    Raises:
        ValueError: a SAMPLER of another class, which reports no steps.
    """
    if not isinstance(sampler, comfy.samplers.KSAMPLER):
        raise ValueError(
            f"sampler is a {type(sampler).__name__}, whose steps cannot be recorded; connect one from KSamplerSelect "
            "or Sampler Select."
        )
    inner = sampler.sampler_function

    def sample(
        model: Any,
        x: torch.Tensor,
        sigmas: torch.Tensor,
        extra_args: dict[str, Any] | None = None,
        callback: Callable[[dict[str, Any]], None] | None = None,
        disable: bool | None = None,
        **options: Any,
    ) -> torch.Tensor:
        trajectory.clear()

        def record(step: dict[str, Any]) -> None:
            # Not every sampler of the host tells its sigma (uni_pc does not); then it is that of the step.
            trajectory.note(float(step.get("sigma", sigmas[step["i"]])), step["denoised"])
            if callback is not None:
                callback(step)

        return inner(model, x, sigmas, extra_args=extra_args, callback=record, disable=disable, **options)

    return comfy.samplers.KSAMPLER(sample, dict(sampler.extra_options), dict(sampler.inpaint_options))
