"""LatentDAPS as a sampler object of the host: for SamplerCustomAdvanced, with any guider and any noise."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import comfy.model_management
import comfy.samplers
import torch

from ..instruments.divergence import divergence
from ..instruments.record import RunRecord
from ..operators import Measurement
from ..operators.fingerprints import describe_measurement
from ..posterior.moves.pruning import PruningOptions
from ..samplers.latent_daps import LatentDAPSOptions, sample_latent_daps
from .decoder import DifferentiableDecoder
from .folders import check_prefix, next_run_file
from .feature_space import FeatureSpaceOfRun
from .latents import check_latent
from .live_view import LiveView
from .model_sampling import parameterization_of_host_model
from .notices import notify
from .prompts import announce
from .rows import select_rows
from .versions import host_versions

__all__ = ["RunHandle", "latent_daps_sampler"]


class RunHandle:
    """What the LatentDAPS node hands on as its run: the record of the latest sampling that used this sampler.

    Raises:
        ValueError: a filename prefix that leads out of the output folder.
    """

    def __init__(self, filename_prefix: str, node_id: str | None = None) -> None:
        """``node_id``: the node that shows the run while it goes on; None for none."""
        if filename_prefix.strip():
            check_prefix(filename_prefix, "metrics_prefix")
        self.filename_prefix = filename_prefix
        self.node_id = node_id
        self.record: RunRecord | None = None

    def start(self) -> RunRecord:
        """A fresh record; it writes its own metrics.json, in a new folder, when there is a filename prefix."""
        path = next_run_file(self.filename_prefix) if self.filename_prefix.strip() else None
        self.record = RunRecord(path=path)
        return self.record


def latent_daps_sampler(
    measurement: Measurement,
    vae: Any,
    options: LatentDAPSOptions,
    run: RunHandle,
    feature_space: FeatureSpaceOfRun | None = None,
) -> comfy.samplers.KSAMPLER:
    """The SAMPLER of these settings; ``run`` is given the record of whatever it samples.

    feature_space: where repulsion tells particles apart; the latent space if None.
    """
    settings = {"measurement": measurement, "vae": vae, "options": options, "run": run}
    return comfy.samplers.KSAMPLER(_sample, {**settings, "feature_space": feature_space or FeatureSpaceOfRun()})


def _sample(
    model: Any,
    x: torch.Tensor,
    sigmas: torch.Tensor,
    extra_args: dict[str, Any] | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
    disable: bool | None = None,
    *,
    measurement: Measurement,
    vae: Any,
    options: LatentDAPSOptions,
    run: RunHandle,
    feature_space: FeatureSpaceOfRun,
) -> torch.Tensor:
    """The host's side of :func:`sample_latent_daps`: decoder, feature space, parameterization, cancel, the record."""
    patcher = model.inner_model.model_patcher
    check_latent(vae, patcher.get_model_object("latent_format"), x, measurement.image_shape)
    decoder = DifferentiableDecoder(vae, patcher)
    measurement = measurement.to(x.device)
    repels = options.repulsion is not None and options.repulsion.strength > 0 and len(x) > 1
    record = run.start()
    record.begin(
        options=_described(options, feature_space),
        seed=(extra_args or {}).get("seed"),
        sigmas=sigmas.tolist(),
        particles=len(x),
        measurement=describe_measurement(measurement),
        versions=host_versions(),
        device=str(x.device),
    )
    record.note(model=type(patcher.model).__name__)
    announce(run.node_id, record)
    view = LiveView(run.node_id, record)
    _tell_if_nothing_is_pruned(options.pruning, len(x), run.node_id)
    try:
        with ExitStack() as stack:
            stack.callback(decoder.release)
            features = None
            if repels:
                # Loaded first: what the chain's decoder then asks for is the largest share, and made room for last.
                micro_batch = min(options.repulsion.micro_batch or len(x), len(x))
                features = stack.enter_context(feature_space.loaded(patcher, micro_batch, tuple(x.shape[1:])))
            decoder.load(min(options.micro_batch or len(x), len(x)), tuple(x.shape[1:]))
            x = sample_latent_daps(
                model,
                x,
                sigmas,
                extra_args=extra_args,
                callback=callback,
                disable=disable,
                measurement=measurement,
                decoder=decoder,
                options=options,
                parameterization=parameterization_of_host_model(model),
                feature_space=features,
                record=record,
                on_iteration=comfy.model_management.throw_exception_if_processing_interrupted,
                on_images=view.show,
                select_rows=select_rows,
            )
    except comfy.model_management.InterruptProcessingException:
        record.finish("cancelled")
        raise
    except BaseException:
        record.finish("failed")
        raise
    else:
        record.finish("finished")
        _tell_if_diverged(record, options, measurement, run.node_id)
    finally:
        view.close()
    return x


def _tell_if_nothing_is_pruned(pruning: PruningOptions | None, count: int, node_id: str | None) -> None:
    if pruning is not None and pruning.keep >= count:
        notify(
            f"Pruning keeps {pruning.keep} of {count} particles, so none is dropped; choose a smaller keep, or more "
            "particles.",
            "warn" if pruning.keep > count else "info",
            node_id,
        )


def _tell_if_diverged(
    record: RunRecord, options: LatentDAPSOptions, measurement: Measurement, node_id: str | None
) -> None:
    if not options.mcmc.is_active:
        return
    energy = float(measurement.y.square().sum())  # dead pixels hold 0
    said = divergence(record.to_dict()["steps"], measurement.noise_floor, energy)
    if said is not None:
        notify(said, "warn", node_id)


def _described(options: LatentDAPSOptions, feature_space: FeatureSpaceOfRun) -> dict[str, Any]:
    """The options for the record, with the feature space among those of repulsion."""
    described = options.to_dict()
    if described["repulsion"] is not None:
        described["repulsion"] |= feature_space.to_dict()
    return described
