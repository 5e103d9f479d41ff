"""Nodes of posterior sampling: the LatentDAPS sampler and its particles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from comfy_api.latest import io

from ..host.latent_daps import latent_daps_sampler
from ..host.latents import empty_latent
from ..host.run_handle import RunHandle
from ..operators import Measurement
from ..posterior.decoding import Decoding
from ..posterior.method import Method
from ..posterior.part import DataStep, Estimate, Move
from ..samplers.latent_daps import PRESETS
from .former_inputs import former_inputs, former_sockets, with_former
from .inputs import widget
from .repulsion import RepulsionSettings
from .types import DATA_STEP, ESTIMATE, MEASUREMENT, MOVES, REPULSION, RUN


class SamplerLabLatentDAPS(io.ComfyNode):
    """SAMPLER: draw latents that explain a measurement."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabLatentDAPS",
            display_name="LatentDAPS Sampler",
            category="sampler lab/posterior",
            description="Draws images that explain a measurement, with your model as the prior. Every item of the "
            "latent batch is a particle: an independent attempt. Use it in SamplerCustomAdvanced with the "
            "Annealing Scheduler.",
            # Every node has its own run: the host would hand two nodes with equal inputs one cached sampler.
            not_idempotent=True,
            search_aliases=["phase retrieval", "inverse problem", "posterior sampling", "DAPS", "reconstruction"],
            inputs=[
                MEASUREMENT.Input(
                    "measurement",
                    tooltip="What was measured: from Measure or Load Measurement. It serves all particles.",
                ),
                io.Vae.Input(
                    "vae",
                    tooltip="The VAE of the model that is sampled. It decodes, with gradients for most data steps, "
                    "and Pixel encodes with it.",
                ),
                io.Combo.Input(
                    "preset",
                    options=list(PRESETS),
                    default="emoji_langevin",
                    tooltip="Numbers that work together. emoji_…: tuned on the Emoji-64 prior. daps_official…: the "
                    "official DAPS code, for latent diffusion, Stable Diffusion (published at noise 0.01) and pixel "
                    "models; give the Annealing Scheduler drop_sigma_min. hmc, hmc_stable_diffusion, pixel_langevin: "
                    "the same chains, the decoder may run in bfloat16. langevin: no published setting. To see and "
                    "change single numbers, connect a data step.",
                ),
                io.Float.Input(
                    "measurement_weight",
                    default=1.0,
                    min=0.0,
                    max=1000.0,
                    step=0.01,
                    tooltip="Weight of the measurement against the prior. 1: as it is in the data step. 0: the "
                    "measurement is ignored and the model is sampled as it is.",
                ),
                REPULSION.Input(
                    "repulsion",
                    optional=True,
                    tooltip="From the Repulsion node: particles keep away from each other while the picture is laid "
                    "out. Left open: independent attempts.",
                ),
                *former_sockets(),
                *former_inputs(),
                *(widget(option, optional=True) for option in Decoding.options()),
                io.String.Input(
                    "metrics_prefix",
                    default="sampler_lab/run",
                    optional=True,
                    advanced=True,
                    tooltip="Each run is recorded in a new folder of the output folder: sampler_lab/run gives "
                    "sampler_lab/run_00001/metrics.json (settings, calls, residuals per step). Empty: nothing is "
                    "written.",
                ),
                DATA_STEP.Input(
                    "data_step",
                    optional=True,
                    tooltip="From a Data Step node: what the measurement does at every noise level, in numbers that "
                    "can be seen and changed. Left open: the preset's.",
                ),
                ESTIMATE.Input(
                    "estimate",
                    optional=True,
                    tooltip="From an Estimate node: how the model's clean picture of every noise level is found. Left "
                    "open: the preset's.",
                ),
                MOVES.Input(
                    "moves",
                    optional=True,
                    tooltip="From Pruning, Hard Consistency, Off The Decoder or Blind Choice, which can be connected "
                    "in a row: what else happens to the particles, late in the run or after it. Left open: nothing.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            outputs=[
                io.Sampler.Output(tooltip="For the sampler input of SamplerCustomAdvanced."),
                RUN.Output(
                    display_name="run",
                    tooltip="The record of the latest sampling with this "
                    "sampler, for Compare To Reference. One LatentDAPS Sampler for each SamplerCustomAdvanced, please.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        measurement: Measurement,
        vae: Any,
        preset: str,
        measurement_weight: float,
        repulsion: RepulsionSettings | None = None,
        metrics_prefix: str = "sampler_lab/run",
        **parts: Any,
    ) -> io.NodeOutput:
        method = _with_parts(with_former(PRESETS[preset], parts), parts)
        if repulsion is not None:
            method = replace(method, estimate=method.estimate.repelled(repulsion.options))
        method = replace(method, data_step=method.data_step.weighted(measurement_weight))
        features = None if repulsion is None else repulsion.feature_space(vae)
        run = RunHandle(metrics_prefix, cls.hidden.unique_id)
        return io.NodeOutput(latent_daps_sampler(measurement, vae, method, run, features), run)


def _with_parts(preset: Method, parts: dict[str, Any]) -> Method:
    """The preset with what is connected in place of its parts."""
    estimate: Estimate = parts.get("estimate") or preset.estimate
    data_step: DataStep = parts.get("data_step") or preset.data_step
    moves: tuple[Move, ...] = ()
    for socket in ("pruning", "hard_consistency", "moves"):
        moves += parts.get(socket) or ()
    precision = parts.get("precision", "auto")
    # The official code never lowers it, so what replicates that code asks for full.
    decoding = Decoding(parts.get("micro_batch", 0), preset.decoding.precision if precision == "auto" else precision)
    return replace(preset, estimate=estimate, data_step=data_step, moves=moves, decoding=decoding)


class SamplerLabParticles(io.ComfyNode):
    """LATENT: an empty batch of the size that the measurement asks for."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabParticles",
            display_name="Particles",
            category="sampler lab/posterior",
            description="An empty latent batch that decodes to the size of the measured image. Every item is a "
            "particle.",
            search_aliases=["empty latent", "batch", "latent size"],
            inputs=[
                MEASUREMENT.Input("measurement", tooltip="Says how large the image is."),
                io.Vae.Input("vae", tooltip="Says how much smaller a latent is, and how many channels it has."),
                io.Int.Input(
                    "particles",
                    default=4,
                    min=1,
                    max=4096,
                    tooltip="Independent attempts in one batch. Time grows with them, and so does the chance that "
                    "one succeeds; the blind choice among them needs no reference.",
                ),
            ],
            outputs=[io.Latent.Output(tooltip="For the latent_image input of SamplerCustomAdvanced.")],
        )

    @classmethod
    def execute(cls, measurement: Measurement, vae: Any, particles: int) -> io.NodeOutput:
        return io.NodeOutput({"samples": empty_latent(vae, measurement.image_shape, particles)})


NODES = [SamplerLabLatentDAPS, SamplerLabParticles]
