"""Particle guidance: the items of a batch repel each other, with any sampler and any model.

A batch of four seeds of one prompt often shows one picture four times. Corso et al. (arXiv 2310.13102) add the gradient
of a potential between the samples to the score. Force and formulas are those of ``posterior/interaction/repulsion.py``;
here the force is computed from every prediction D of the model, and acts on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..diffusion.options import Option
from ..diffusion.sentence import Sentence
from ..host.cancel import raise_if_cancelled
from ..host.feature_space import FeatureSpaceOfRun
from ..host.notices import notify
from ..posterior.interaction.forces import pairwise_distance, repulsion
from ..posterior.interaction.repulsion import Repulsion, repel_denoised
from .correction import Call, Correction, SamplingRun

__all__ = ["SIGMA_TOP", "ParticleCorrection"]

SIGMA_TOP = Option(
    "sigma_top",
    10.0,
    "Noise level down to which the strength is full, and above which the push is held, in the scale of sigma_break.",
    minimum=1e-3,
    maximum=10_000.0,
    step=0.1,
    advanced=True,
)


class ParticleCorrection(Correction):
    """Repulsion between the items of the batch."""

    name = "ParticleGuider"

    def __init__(
        self, options: Repulsion, space: FeatureSpaceOfRun | None = None, sigma_top: float = SIGMA_TOP.default
    ) -> None:
        """``sigma_top``: VE level at which the strength is full; a run that starts below it has it full at its start.

        Raises:
            ValueError: it is not above the level at which the repulsion ends.
        """
        if sigma_top <= options.sigma_break:
            raise ValueError(
                f"sigma_top is {sigma_top:g}; it must be larger than sigma_break, which is {options.sigma_break:g}."
            )
        super().__init__(
            "Particle guider",
            distance="mean distance of two items (rms, feature space)",
            strength="strength of the repulsion",
        )
        self.options, self.space, self.sigma_top = options, space or FeatureSpaceOfRun(), sigma_top

    @contextmanager
    def run(self, run: SamplingRun) -> Iterator[bool]:
        """Load the feature space for as long as sampling lasts."""
        top = min(self.sigma_top, float(run.parameterization.sigma_ve(run.sigmas.max().double())))
        if not self._repels(run.shape[0], top):
            yield False
            return
        at_once = self.options.micro_batch or run.shape[0]
        with self.space.loaded(run.model_patcher, at_once, tuple(run.shape[1:])) as features:
            self._features, self._top, self._parameterization = features, top, run.parameterization
            yield True

    def _repels(self, count: int, top: float) -> bool:
        """Whether anything can happen; a notice says why not when that is not what was asked for."""
        if self.options.strength == 0:
            return False
        if count == 1:
            notify(
                Sentence(
                    "Particle Guider: the batch has one item, so nothing repels; choose a batch_size of 2 or more."
                ),
                "info",
            )
            return False
        if top <= self.options.sigma_break:
            notify(
                Sentence(
                    "Particle Guider: sampling starts at sigma {top}, not above sigma_break {sigma_break}, so nothing "
                    "repels; choose a smaller sigma_break.",
                    top=f"{top:.3g}",
                    sigma_break=f"{self.options.sigma_break:.3g}",
                )
            )
            return False
        return True

    def correct(self, denoised: torch.Tensor, call: Call) -> torch.Tensor:
        """D' = D + sigma (d - d'); see ``posterior/interaction/repulsion.py``."""
        sigma_ve = min(float(self._parameterization.sigma_ve(call.sigma.double())), self._top)
        strength = self.options.strength_at(sigma_ve, self._top)
        if strength == 0:
            return denoised
        raise_if_cancelled()
        r, features = repulsion(denoised.float(), self._features, self.options.micro_batch)
        self.record.add(float(call.sigma), distance=[pairwise_distance(features)], strength=[strength])
        return repel_denoised(denoised, call.x, call.sigma, self._parameterization, r, self.options, self._top)
