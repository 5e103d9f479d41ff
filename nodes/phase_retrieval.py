"""Phase retrieval in one node, and the pictures of a run."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..host.latent_daps import latent_daps_sampler
from ..host.latents import empty_latent
from ..host.model_sampling import parameterization_of_patcher
from ..host.posterior_run import Conditions, sample_latents
from ..host.run_handle import RunHandle
from ..operators import Measurement
from ..posterior.decoding import MICRO_BATCH, PRECISION, Decoding
from ..samplers.phase_retrieval import CALIBRATIONS, EFFORT, recipe
from .inputs import widget
from .types import MEASUREMENT, RUN

CATEGORY = "sampler lab/posterior"


class SamplerLabPhaseRetrievalSampler(io.ComfyNode):
    """IMAGE: the picture whose measurement it was."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabPhaseRetrievalSampler",
            display_name="Phase Retrieval Sampler",
            category=CATEGORY,
            description="Finds the picture that was measured, with your model as the prior: many attempts search, the "
            "best are fitted, and the likeliest is chosen without knowing the truth.",
            not_idempotent=True,
            search_aliases=["phase retrieval", "inverse problem", "reconstruction", "recipe", "KSampler", "posterior"],
            inputs=[
                MEASUREMENT.Input("measurement", tooltip="What was measured: from Measure or Load Measurement."),
                io.Model.Input("model", tooltip="The model that knows what pictures look like."),
                io.Conditioning.Input(
                    "positive",
                    tooltip="What the picture shows, as far as you know. If you do not: an empty prompt (class none).",
                ),
                io.Vae.Input("vae", tooltip="The VAE of the model. Pictures are decoded and encoded with it."),
                widget(EFFORT),
                io.Combo.Input(
                    "prior",
                    options=list(CALIBRATIONS),
                    default="emoji_64",
                    tooltip="Numbers that were tuned for a model and its VAE: noise levels, and how far each step "
                    "trusts the measurement. emoji_64: the prior that ships with the pack; for another model a start.",
                ),
                io.Int.Input(
                    "seed",
                    default=42,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="Of all noise. Another seed is another search: try one when the picture looks wrong.",
                ),
                io.Float.Input(
                    "measurement_weight",
                    default=1.0,
                    min=0.0,
                    max=1000.0,
                    step=0.1,
                    optional=True,
                    advanced=True,
                    tooltip="Weight of the measurement against the prior. 1: as measured. 0: the measurement is "
                    "ignored and the model is sampled as it is.",
                ),
                io.Conditioning.Input(
                    "negative",
                    optional=True,
                    tooltip="For classifier-free guidance, with cfg. Left open: no guidance, at half the model calls.",
                ),
                io.Float.Input(
                    "cfg",
                    default=1.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    optional=True,
                    advanced=True,
                    tooltip="Scale of classifier-free guidance, when negative is connected. Keep it near 1: guidance "
                    "makes the model surer than it is.",
                ),
                widget(MICRO_BATCH, optional=True),
                widget(
                    PRECISION,
                    optional=True,
                    tooltip="Of the VAE while the node samples. auto: bfloat16 on processors that have it in hardware, "
                    "about twice as fast. full: the VAE's own. On a GPU both are the VAE's own.",
                ),
                io.String.Input(
                    "metrics_prefix",
                    default="sampler_lab/run",
                    optional=True,
                    advanced=True,
                    tooltip="Each run is recorded in a new folder of the output folder: sampler_lab/run gives "
                    "sampler_lab/run_00001/metrics.json (settings, calls, residuals per step). Empty: nothing is "
                    "written.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            outputs=[
                io.Image.Output("picture", tooltip="The likeliest reconstruction, chosen without the truth."),
                io.Image.Output(
                    "candidates", tooltip="Everything that was fitted to the end, the likeliest first: judge yourself."
                ),
                io.Latent.Output(
                    "latent",
                    tooltip="The candidates' latents. Decoded they lack the last correction by the measurement, which "
                    "goes beyond what the VAE can draw: only the pictures have it.",
                ),
                RUN.Output(display_name="run", tooltip="The record of the run, for Compare To Reference."),
            ],
        )

    @classmethod
    def execute(  # noqa: PLR0913 - one argument per input
        cls,
        measurement: Measurement,
        model: Any,
        positive: Conditions,
        vae: Any,
        effort: int,
        prior: str,
        seed: int,
        measurement_weight: float = 1.0,
        negative: Conditions | None = None,
        cfg: float = 1.0,
        metrics_prefix: str = "sampler_lab/run",
        **decoding: Any,
    ) -> io.NodeOutput:
        calibration = CALIBRATIONS[prior]
        method = recipe(effort, calibration, measurement_weight, Decoding(**decoding))
        run = RunHandle(metrics_prefix, cls.hidden.unique_id)
        sampler = latent_daps_sampler(measurement, vae, method, run)
        sigmas = parameterization_of_patcher(model).sigma_from_ve(calibration.levels.sigmas())
        latent = empty_latent(vae, measurement.image_shape, effort)
        samples = sample_latents(model, positive, negative, cfg, sampler, sigmas, latent, seed)
        pictures = _pictures(run)
        return io.NodeOutput(pictures[:1], pictures, {"samples": samples}, run)


class SamplerLabRunPictures(io.ComfyNode):
    """IMAGE: what a run returned, as pictures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabRunPictures",
            display_name="Pictures Of A Run",
            category=CATEGORY,
            description="The pictures that a run of LatentDAPS Sampler ended with. With Off The Decoder among its "
            "moves they hold what the VAE cannot draw; without it they are what VAE Decode gives.",
            search_aliases=["VAE Decode", "off decoder", "result"],
            inputs=[
                RUN.Input("run", tooltip="From the LatentDAPS Sampler that sampled."),
                io.Latent.Input(
                    "latent",
                    tooltip="From the SamplerCustomAdvanced that the LatentDAPS Sampler is connected to: the node "
                    "waits for it.",
                ),
            ],
            outputs=[io.Image.Output(tooltip="One picture per particle, in the order of the latent.")],
        )

    @classmethod
    def execute(cls, run: RunHandle, latent: dict[str, Any]) -> io.NodeOutput:
        pictures = _pictures(run)
        if len(pictures) != len(latent["samples"]):
            raise ValueError(
                f"the run has {len(pictures)} pictures, but the latent {len(latent['samples'])} particles; connect the "
                "latent of the SamplerCustomAdvanced that this LatentDAPS Sampler is connected to."
            )
        return io.NodeOutput(pictures)


def _pictures(run: RunHandle) -> torch.Tensor:
    """ComfyUI's IMAGE ``[N, H, W, 3]`` in [0, 1]."""
    if run.pictures is None:
        raise ValueError("the run has no pictures; sample with it first (SamplerCustomAdvanced).")
    return (run.pictures.float().clamp(-1, 1).movedim(1, -1) / 2 + 0.5).cpu()


NODES = [SamplerLabPhaseRetrievalSampler, SamplerLabRunPictures]
