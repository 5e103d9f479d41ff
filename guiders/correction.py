"""What a correction of a guider is: the contract that each file of this layer fulfils.

A guider answers a sampler's calls with predictions D of the clean latent. A correction changes D, or only watches it::

    class Halved(Correction):
        name = "HalvedGuider"

        def __init__(self):
            super().__init__("Halved guider", size="rms of D")

        def correct(self, denoised, call):
            self.record.add(float(call.sigma), size=rms(denoised).tolist())
            return denoised / 2

``guiders/guider.py`` asks it, in this order: :meth:`Correction.check` before anything is loaded, :meth:`Correction.run`
around the sampling, and for every prediction :meth:`Correction.before` and :meth:`Correction.correct`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ..diffusion.parameterization import Parameterization
from ..host.guiders import CFGGuider, parameterization_of_guider
from ..instruments.guidance_record import GuidanceRecord

__all__ = ["Call", "Correction", "SamplingRun"]


@dataclass(frozen=True)
class SamplingRun:
    """One sampling run, when the model is loaded and the sampler is about to begin.

    guider: the one whose predictions are corrected.
    sigmas: of the whole run, in the model's own units.
    shape: of the noisy latent, ``[N, ...]``.
    device: where it lies.
    """

    guider: CFGGuider
    sigmas: torch.Tensor
    shape: torch.Size
    device: torch.device

    @property
    def model_patcher(self) -> Any:
        """The host's handle of the model."""
        return self.guider.model_patcher

    @property
    def parameterization(self) -> Parameterization:
        """VE or CONST."""
        return parameterization_of_guider(self.guider)


@dataclass(frozen=True)
class Call:
    """One call of the model by the sampler.

    x: the noisy latent ``[N, ...]``.
    timestep: its noise level, once for each row.
    model_options: the host's, with the sampler's hooks.
    seed: the host's.
    cfg: the guidance scale for this call; None for the guider's own.
    denoise: D of other latents at this level, with the corrections below this one and unheard by the sampler. It costs
        a further call of the model.
    """

    x: torch.Tensor
    timestep: torch.Tensor
    model_options: Mapping[str, Any]
    seed: int | None = None
    cfg: float | None = None
    denoise: Callable[[torch.Tensor], torch.Tensor] | None = None

    @property
    def sigma(self) -> torch.Tensor:
        """The noise level, 0-dimensional."""
        return self.timestep[0]


class Correction:
    """A change of the model's predictions.

    The object that a node makes holds settings only. Every run works with a copy of it, so what :meth:`run` sets on
    ``self`` belongs to that run and ends with it.

    name: what a guider is called that has this correction.
    record: what is noted of the latest run.
    """

    name: ClassVar[str]

    def __init__(self, title: str, **quantities: str) -> None:
        """``title`` and ``quantities`` of the record: see :class:`GuidanceRecord`."""
        self.record = GuidanceRecord(title, quantities)

    def check(self, guider: CFGGuider, latent_image: Any) -> None:
        """Raise a ``ValueError`` when this cannot be done to ``guider`` and ``latent_image``; nothing is loaded yet."""

    @contextmanager
    def run(self, run: SamplingRun) -> Iterator[bool]:  # noqa: ARG002 - for those that need something
        """Around one sampling run: get what it needs, give it back. Yields whether there is anything to correct."""
        yield True

    def before(self, call: Call) -> Call:
        """What is asked of the model instead of ``call``; corrections above this one have had their say."""
        return call

    def correct(self, denoised: torch.Tensor, call: Call) -> torch.Tensor:
        """D' from D, ``[N, ...]`` each. It may be called again, for ``call.denoise`` of a correction above."""
        raise NotImplementedError
