"""Nodes that extend a guider: by a measurement, by repulsion within the batch, by limits on guidance and a record."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io, ui

from ..guiders.correction import Correction
from ..guiders.guider import corrected
from ..guiders.likelihood import LikelihoodCorrection
from ..guiders.limits import GuidanceLimits
from ..guiders.norm import NormCorrection
from ..guiders.particle import SIGMA_TOP, ParticleCorrection
from ..host.feature_space import FEATURE_SPACE, PREPROCESSING, FeatureSpaceOfRun
from ..instruments.guidance_record import GuidanceRecord, attached
from ..instruments.plots.guidance import ON_A_NODE, plot_record
from ..operators import Measurement
from ..posterior.guidance import GuidanceOptions
from ..posterior.interaction.repulsion import Repulsion
from .inputs import widget, widgets
from .types import GUIDANCE, MEASUREMENT

CATEGORY = "sampler lab/guiders"


def _guider_input() -> io.Guider.Input:
    return io.Guider.Input(
        "guider",
        tooltip="The guider to extend: CFGGuider, BasicGuider, or another of these nodes. It is left as it is.",
    )


def _outputs() -> list[io.Output]:
    return [
        io.Guider.Output(tooltip="For the guider input of SamplerCustomAdvanced, or for another of these nodes."),
        GUIDANCE.Output(
            display_name="record",
            tooltip="What is noted at every call of the model, for Plot Guidance. Latest run only.",
        ),
    ]


def _with(guider: Any, correction: Correction) -> io.NodeOutput:
    return io.NodeOutput(corrected(guider, correction), correction.record)


class SamplerLabLikelihoodGuider(io.ComfyNode):
    """GUIDER: the samples explain a measurement."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabLikelihoodGuider",
            display_name="Likelihood Guider",
            category=CATEGORY,
            description="Makes any sampler draw images that explain a measurement: the gradient of the residual pulls "
            "at every prediction of the model (diffusion posterior sampling).",
            search_aliases=["DPS", "posterior sampling", "inverse problem", "measurement guidance", "phase retrieval"],
            inputs=[
                _guider_input(),
                MEASUREMENT.Input(
                    "measurement",
                    tooltip="What was measured: from Measure or Load Measurement. It serves the whole batch.",
                ),
                io.Vae.Input("vae", tooltip="The VAE of the guider's model. Gradients pass through its decoder."),
                *(widget(each, optional=each.advanced) for each in GuidanceOptions.options()),
            ],
            outputs=_outputs(),
        )

    @classmethod
    def execute(cls, guider: Any, measurement: Measurement, vae: Any, **options: Any) -> io.NodeOutput:
        return _with(guider, LikelihoodCorrection(measurement, vae, GuidanceOptions(**options)))


class SamplerLabParticleGuider(io.ComfyNode):
    """GUIDER: the items of a batch differ."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        repulsion = {option.name: option for option in Repulsion.options()}
        return io.Schema(
            node_id="SamplerLabParticleGuider",
            display_name="Particle Guider",
            category=CATEGORY,
            description="Makes the items of a latent batch repel each other while they are sampled, so that a batch of "
            "four shows four different images. Works with any sampler and any model.",
            search_aliases=["diversity", "diverse batch", "repulsion", "particle guidance", "variety", "RSD"],
            inputs=[
                _guider_input(),
                widget(
                    repulsion["strength"],
                    default=0.05,
                    max=10_000.0,
                    tooltip="normalised: share of the model's own direction that the repulsion adds, usually 0.02 to "
                    "0.2; too much shows as artefacts. raw: factor on the force. 0: off, as without this node.",
                ),
                widget(FEATURE_SPACE),
                io.Vae.Input(
                    "vae",
                    optional=True,
                    tooltip="The VAE of the guider's model. Needed for pixel and dino, which look at decoded images.",
                ),
                widget(repulsion["sigma_break"]),
                widget(repulsion["schedule"], optional=True),
                widget(SIGMA_TOP, optional=True),
                widget(repulsion["mode"], optional=True, advanced=True),
                widget(PREPROCESSING),
                widget(
                    repulsion["micro_batch"],
                    optional=True,
                    tooltip="Items decoded at a time for pixel and dino. 0: all. Choose 1 when memory runs out; "
                    "results do not change, each step decodes twice.",
                ),
            ],
            outputs=_outputs(),
        )

    @classmethod
    def execute(
        cls,
        guider: Any,
        feature_space: str,
        vae: Any = None,
        sigma_top: float = SIGMA_TOP.default,
        preprocessing: str = PREPROCESSING.default,
        **repulsion: Any,
    ) -> io.NodeOutput:
        space = FeatureSpaceOfRun(feature_space, vae, preprocessing)
        return _with(guider, ParticleCorrection(Repulsion(**repulsion), space, sigma_top))


class SamplerLabNormGuider(io.ComfyNode):
    """GUIDER: guidance is measured and limited."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabNormGuider",
            display_name="Norm Guider",
            category=CATEGORY,
            description="Records how large guidance is at every step, and limits it: rescale against burnt colours, "
            "clamp against overshoot, an interval of steps outside of which there is none.",
            search_aliases=["rescale cfg", "guidance interval", "clamp", "cfg norm", "burnt", "oversaturation", "APG"],
            inputs=[
                _guider_input(),
                *widgets(GuidanceLimits.options()),
            ],
            outputs=_outputs(),
        )

    @classmethod
    def execute(cls, guider: Any, **limits: float) -> io.NodeOutput:
        return _with(guider, NormCorrection(GuidanceLimits(**limits)))


class SamplerLabPlotGuidance(io.ComfyNode):
    """IMAGE and STRING: what a guider noted."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabPlotGuidance",
            display_name="Plot Guidance",
            category=CATEGORY,
            description="Shows what a guider noted at every call of the model: norms of guidance, the residual, or the "
            "distance between the items of the batch.",
            search_aliases=["guidance norm", "residual plot", "cfg plot", "diagnostics"],
            is_output_node=True,
            inputs=[
                io.Latent.Input(
                    "latent",
                    tooltip="The first output of the SamplerCustomAdvanced that used the guider. It carries what the "
                    "guiders noted of that run.",
                ),
                GUIDANCE.Input(
                    "record",
                    optional=True,
                    tooltip="Of one of several guiders: its record output. Needed as well where a sampler of another "
                    "pack copies its latents. Left open: every guider of the run.",
                ),
            ],
            outputs=[
                io.Image.Output("image", tooltip="The plot: one panel per quantity, one line per item of the batch."),
                io.String.Output("table", tooltip="The numbers as CSV, one row per call of the model."),
            ],
        )

    @classmethod
    def execute(cls, latent: dict[str, Any], record: GuidanceRecord | None = None) -> io.NodeOutput:
        records = _records(attached(latent["samples"]), record)
        picture = torch.cat([plot_record(each, **ON_A_NODE) for each in records], dim=1)
        return io.NodeOutput(
            picture, "\n".join(each.to_csv() for each in records), ui=ui.PreviewImage(picture, cls=cls)
        )


def _records(of_the_run: tuple[GuidanceRecord, ...], wanted: GuidanceRecord | None) -> list[GuidanceRecord]:
    """What is shown: all that the latents carry, or the one that is connected, as it was in their run."""
    if wanted is not None:
        return [next((each for each in of_the_run if each.handle is wanted), wanted)]
    if not of_the_run:
        raise ValueError(
            "latent carries no record; connect the first output of a SamplerCustomAdvanced whose guider comes from "
            "Norm, Likelihood or Particle Guider, or connect that node's record as well."
        )
    return list(of_the_run)


NODES = [SamplerLabLikelihoodGuider, SamplerLabParticleGuider, SamplerLabNormGuider, SamplerLabPlotGuidance]
