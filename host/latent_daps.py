"""LatentDAPS as a sampler object of the host: for SamplerCustomAdvanced, with any guider and any noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.model_management
import comfy.samplers
import torch

from ..operators import Measurement
from ..posterior.record import RunRecord
from ..samplers.latent_daps import LatentDAPSOptions, sample_latent_daps
from .decoder import DifferentiableDecoder
from .folders import check_prefix, next_output_file
from .latents import check_latent_size
from .model_sampling import parameterization_of_host_model
from .versions import host_versions

__all__ = ["RunHandle", "latent_daps_sampler"]


class RunHandle:
    """What the LatentDAPS node hands on as its run: the record of the latest sampling that used this sampler.

    Raises:
        ValueError: a filename prefix that leads out of the output folder.
    """

    def __init__(self, filename_prefix: str) -> None:
        if filename_prefix.strip():
            check_prefix(filename_prefix, "metrics_prefix")
        self.filename_prefix = filename_prefix
        self.record: RunRecord | None = None

    def start(self) -> RunRecord:
        """A fresh record; it writes its own metrics.json when there is a filename prefix."""
        path = next_output_file(self.filename_prefix, ".json")[0] if self.filename_prefix.strip() else None
        self.record = RunRecord(path=path)
        return self.record


def latent_daps_sampler(
    measurement: Measurement, vae: Any, options: LatentDAPSOptions, run: RunHandle
) -> comfy.samplers.KSAMPLER:
    """The SAMPLER of these settings; ``run`` is given the record of whatever it samples."""
    return comfy.samplers.KSAMPLER(_sample, {"measurement": measurement, "vae": vae, "options": options, "run": run})


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
) -> torch.Tensor:
    """The host's side of :func:`sample_latent_daps`: decoder, parameterization, cancel and the run's record."""
    patcher = model.inner_model.model_patcher
    check_latent_size(vae, x, measurement.image_shape)
    decoder = DifferentiableDecoder(vae, patcher)
    measurement = measurement.to(x.device)
    record = run.start()
    record.begin(
        options=options.to_dict(),
        seed=(extra_args or {}).get("seed"),
        sigmas=sigmas.tolist(),
        particles=len(x),
        measurement={
            "values": measurement.count,
            "noise_floor": measurement.noise_floor,
            "operator": measurement.operator.to_dict(),
        },
        versions=host_versions(),
        device=str(x.device),
    )
    try:
        decoder.load(min(options.micro_batch or len(x), len(x)), tuple(x.shape[1:]))
        with record.phase("explore"):
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
                record=record,
                on_iteration=comfy.model_management.throw_exception_if_processing_interrupted,
            )
    except comfy.model_management.InterruptProcessingException:
        record.finish("cancelled")
        raise
    except BaseException:
        record.finish("failed")
        raise
    finally:
        decoder.release()
    record.finish("finished")
    return x
