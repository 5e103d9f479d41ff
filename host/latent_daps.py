"""LatentDAPS as a sampler object of the host: for SamplerCustomAdvanced, with any guider and any noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import comfy.model_management
import comfy.samplers
import torch

from ..diffusion.observer import Observers
from ..diffusion.sentence import Sentence
from ..instruments.divergence import divergence
from ..instruments.record import RunRecord
from ..operators import Measurement
from ..posterior.interaction.features import FeatureSpace
from ..posterior.interaction.repulsion import Repulsion
from ..posterior.method import Method
from ..posterior.moves.pruning import Pruning
from ..samplers.latent_daps import sample_latent_daps
from .cancel import CancelButton
from .decoder import DifferentiableDecoder
from .encoder import PictureEncoder
from .feature_space import FeatureSpaceOfRun
from .latents import check_latent
from .live_view import LiveView
from .model_sampling import parameterization_of_host_model
from .notices import notify
from .prompts import announce
from .rows import select_rows
from .run_handle import RunHandle
from .versions import host_versions

__all__ = ["latent_daps_sampler"]


def latent_daps_sampler(
    measurement: Measurement,
    vae: Any,
    method: Method,
    run: RunHandle,
    feature_space: FeatureSpaceOfRun | None = None,
) -> comfy.samplers.KSAMPLER:
    """The SAMPLER of these settings; ``run`` is given the record of whatever it samples.

    feature_space: where repulsion tells particles apart; the latent space if None.
    """
    sampling = PosteriorSampling(measurement, vae, method, run, feature_space or FeatureSpaceOfRun())
    return comfy.samplers.KSAMPLER(sampling)


@dataclass
class PosteriorSampling:
    """The host's side of :func:`sample_latent_daps`: decoder, feature space, parameterization, cancel, the record."""

    measurement: Measurement
    vae: Any
    method: Method
    run: RunHandle
    feature_space: FeatureSpaceOfRun = field(default_factory=FeatureSpaceOfRun)

    def __call__(
        self,
        model: Any,
        x: torch.Tensor,
        sigmas: torch.Tensor,
        extra_args: dict[str, Any] | None = None,
        callback: Callable[[dict[str, Any]], None] | None = None,
        disable: bool | None = None,
    ) -> torch.Tensor:
        """Sample, as the host calls a k-diffusion function."""
        patcher = model.inner_model.model_patcher
        check_latent(self.vae, patcher.get_model_object("latent_format"), x, self.measurement.image_shape)
        measurement, decoder = self.measurement.to(x.device), DifferentiableDecoder(self.vae, patcher)
        encoder = PictureEncoder(self.vae, patcher.get_model_object("latent_format"))
        record = self._begin(x, sigmas, (extra_args or {}).get("seed"), type(patcher.model).__name__)
        view = LiveView(self.run.node_id, record)
        self._tell_if_nothing_is_pruned(len(x))
        with self._recorded(record, view), ExitStack() as stack:
            stack.callback(decoder.release)
            # Loaded first: what the chain's decoder then asks for is the largest share, and made room for last.
            features = self._features(stack, patcher, x)
            decoder.load(min(self.method.decoding.micro_batch or len(x), len(x)), tuple(x.shape[1:]))
            return sample_latent_daps(
                model,
                x,
                sigmas,
                extra_args=extra_args,
                callback=callback,
                disable=disable,
                measurement=measurement,
                decoder=decoder,
                encoder=encoder,
                method=self.method,
                parameterization=parameterization_of_host_model(model),
                feature_space=features,
                observer=Observers(record, view, self.run, CancelButton()),
                select_rows=select_rows,
            )

    def _begin(self, x: torch.Tensor, sigmas: torch.Tensor, seed: int | None, model: str) -> RunRecord:
        record = self.run.start()
        record.begin(
            options=self._described(),
            seed=seed,
            sigmas=sigmas.tolist(),
            particles=len(x),
            measurement=self.measurement.describe(),
            versions=host_versions(),
            device=str(x.device),
        )
        record.note(model=model)
        announce(self.run.node_id, record)
        return record

    @contextmanager
    def _recorded(self, record: RunRecord, view: LiveView) -> Iterator[None]:
        """However the run ends, its record and its view say so."""
        try:
            yield
        except comfy.model_management.InterruptProcessingException:
            record.finish("cancelled")
            raise
        except BaseException:
            record.finish("failed")
            raise
        else:
            record.finish("finished")
            self._tell_if_diverged(record)
        finally:
            view.close()

    @property
    def _repulsion(self) -> Repulsion | None:
        """Of the estimate, where it has any that is on."""
        repulsion = self.method.estimate.repulsion
        return repulsion if repulsion is not None and repulsion.strength > 0 else None

    def _features(self, stack: ExitStack, patcher: Any, x: torch.Tensor) -> FeatureSpace | None:
        if self._repulsion is None or len(x) < 2:
            return None
        micro_batch = min(self._repulsion.micro_batch or len(x), len(x))
        return stack.enter_context(self.feature_space.loaded(patcher, micro_batch, tuple(x.shape[1:])))

    def _described(self) -> dict[str, Any]:
        """The method for the record, with the feature space among the options of repulsion."""
        described = self.method.to_dict()
        if described["estimate"].get("repulsion") is not None:
            described["estimate"]["repulsion"] |= self.feature_space.to_dict()
        return described

    def _tell_if_nothing_is_pruned(self, count: int) -> None:
        for move in self.method.moves:
            if isinstance(move, Pruning) and move.keep >= count:
                said = Sentence(
                    "Pruning keeps {keep} of {count} particles, so none is dropped; choose a smaller keep, or more "
                    "particles.",
                    keep=move.keep,
                    count=count,
                )
                notify(said, "warn" if move.keep > count else "info", self.run.node_id)

    def _tell_if_diverged(self, record: RunRecord) -> None:
        if not self.method.data_step.is_active:
            return
        energy = float(self.measurement.y.square().sum())  # dead pixels hold 0
        has_step_size = _has_step_size(self.method.data_step.to_dict())
        said = divergence(record.to_dict()["steps"], self.measurement.noise_floor, energy, has_step_size)
        if said is not None:
            notify(said, "warn", self.run.node_id)


def _has_step_size(described: Mapping[str, Any]) -> bool:
    """Whether a data step, or one of those that it is made of, has a step_size to make smaller."""
    stages = [each for each in described.values() if isinstance(each, Mapping)]
    return "step_size" in described or any(_has_step_size(stage) for stage in stages)
