"""Nodes that extend a guider: by a measurement, by repulsion within the batch, by limits on guidance and a record."""

from __future__ import annotations

from comfy_api.latest import io, ui

from ..guiders.likelihood import LikelihoodGuider, new_likelihood_record
from ..guiders.limits import GuidanceLimits
from ..guiders.norm import NormGuider, new_norm_record
from ..guiders.particle import ParticleGuider, new_particle_record
from ..host.feature_space import FeatureSpaceOfRun
from ..host.guiders import extend
from ..instruments.plots.guidance import ON_A_NODE, plot_record
from ..posterior.decoding import PRECISIONS
from ..posterior.guidance import COVARIANCES, FORMS, GuidanceOptions
from ..posterior.interaction.features import FEATURE_SPACES
from ..posterior.interaction.repulsion import MODES, Repulsion
from . import repulsion_inputs
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
                io.Float.Input(
                    "weight",
                    default=1.0,
                    min=0.0,
                    max=1000.0,
                    step=0.01,
                    round=False,
                    tooltip="Weight of the measurement against the model. 1: as derived, for the form matched; the dps "
                    "forms need tuning. 0: the measurement is left out.",
                ),
                io.Combo.Input(
                    "form",
                    options=list(FORMS),
                    default="matched",
                    tooltip="matched: allows for how uncertain the model still is, needs no tuning. dps: as if the "
                    "model's guess were certain, weights far below 1. dps_normalised: steps of a size that weight "
                    "sets, as the published code does.",
                ),
                io.Combo.Input(
                    "covariance",
                    options=list(COVARIANCES),
                    default="isotropic",
                    optional=True,
                    advanced=True,
                    tooltip="How a pull on the image becomes a pull on the latent. isotropic: every value alike, no "
                    "extra cost. difference: through the model, as DPS has it; twice the model calls.",
                ),
                io.Float.Input(
                    "tau",
                    default=0.0,
                    min=0.0,
                    max=100.0,
                    step=0.001,
                    round=False,
                    optional=True,
                    advanced=True,
                    tooltip="Assumed standard deviation of a measured value. Larger trusts the measurement less. 0: "
                    "from the measurement's own noise.",
                ),
                io.Int.Input(
                    "micro_batch",
                    default=0,
                    min=0,
                    max=1024,
                    optional=True,
                    advanced=True,
                    tooltip="Items decoded at a time. 0: all. Choose 1 when memory runs out; results do not change.",
                ),
                io.Combo.Input(
                    "precision",
                    options=list(PRECISIONS),
                    default="full",
                    optional=True,
                    advanced=True,
                    tooltip="Of the decoder. auto: bfloat16 on processors that have it in hardware, faster. full: the "
                    "VAE's own. On a GPU both are the VAE's own.",
                ),
            ],
            outputs=_outputs(),
        )

    @classmethod
    def execute(
        cls,
        guider,
        measurement,
        vae,
        weight: float,
        form: str,
        covariance: str = "isotropic",
        tau: float = 0.0,
        micro_batch: int = 0,
        precision: str = "full",
    ) -> io.NodeOutput:
        record = new_likelihood_record()
        extended = extend(
            guider,
            LikelihoodGuider,
            likelihood_measurement=measurement,
            likelihood_vae=vae,
            likelihood_options=GuidanceOptions(weight, form, covariance, tau, micro_batch, precision),
            likelihood_record=record,
        )
        return io.NodeOutput(extended, record)


class SamplerLabParticleGuider(io.ComfyNode):
    """GUIDER: the items of a batch differ."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabParticleGuider",
            display_name="Particle Guider",
            category=CATEGORY,
            description="Makes the items of a latent batch repel each other while they are sampled, so that a batch of "
            "four shows four different images. Works with any sampler and any model.",
            search_aliases=["diversity", "diverse batch", "repulsion", "particle guidance", "variety", "RSD"],
            inputs=[
                _guider_input(),
                io.Float.Input(
                    "strength",
                    default=0.05,
                    min=0.0,
                    max=10_000.0,
                    step=0.005,
                    round=False,
                    tooltip="normalised: share of the model's own direction that the repulsion adds, usually 0.02 to "
                    "0.2; too much shows as artefacts. raw: factor on the force. 0: off, as without this node.",
                ),
                io.Combo.Input(
                    "feature_space",
                    options=list(FEATURE_SPACES),
                    default="latent",
                    tooltip="In what the items shall differ. latent: layout and colours, free. pixel: the same on the "
                    "decoded image. dino: what is shown; needs the DINO weights in models/dino, else latent is used "
                    "and a notice says so.",
                ),
                io.Vae.Input(
                    "vae",
                    optional=True,
                    tooltip="The VAE of the guider's model. Needed for pixel and dino, which look at decoded images.",
                ),
                repulsion_inputs.sigma_break(),
                repulsion_inputs.schedule(),
                io.Float.Input(
                    "sigma_top",
                    default=10.0,
                    min=1e-3,
                    max=10_000.0,
                    step=0.1,
                    round=False,
                    optional=True,
                    advanced=True,
                    tooltip="Noise level down to which the strength is full, and above which the push is held, in "
                    "the scale of sigma_break.",
                ),
                io.Combo.Input(
                    "mode",
                    options=list(MODES),
                    default="normalised",
                    optional=True,
                    advanced=True,
                    tooltip="normalised: strength is a share, the same on every model. raw: strength multiplies the "
                    "force, as published; its effect depends on model and sigma.",
                ),
                repulsion_inputs.preprocessing(),
                repulsion_inputs.micro_batch("Items"),
            ],
            outputs=_outputs(),
        )

    @classmethod
    def execute(
        cls,
        guider,
        strength: float,
        feature_space: str,
        sigma_break: float,
        vae=None,
        schedule: str = "linear",
        sigma_top: float = 10.0,
        mode: str = "normalised",
        preprocessing: str = "imagenet",
        micro_batch: int = 0,
    ) -> io.NodeOutput:
        if sigma_top <= sigma_break:
            raise ValueError(
                f"sigma_top is {sigma_top:g}; it must be larger than sigma_break, which is {sigma_break:g}."
            )
        record = new_particle_record()
        extended = extend(
            guider,
            ParticleGuider,
            particle_options=Repulsion(strength, mode, schedule, sigma_break, micro_batch),
            particle_space=FeatureSpaceOfRun(feature_space, vae, preprocessing),
            particle_sigma_top=sigma_top,
            particle_record=record,
        )
        return io.NodeOutput(extended, record)


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
                io.Float.Input(
                    "rescale",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Brings the contrast of the guided prediction back to that of the unguided one. 0: off. "
                    "Usual: 0.7.",
                ),
                io.Float.Input(
                    "clamp",
                    default=0.0,
                    min=0.0,
                    max=100.0,
                    step=0.05,
                    tooltip="Largest change that guidance may make, as a share of the prediction's size. Plot Guidance "
                    "shows what it is without a limit. 0: off.",
                ),
                io.Float.Input(
                    "start_percent",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Where guidance starts, as in the ControlNet nodes: 0 is the noisiest level of the model. "
                    "Before it the negative is not even computed.",
                ),
                io.Float.Input(
                    "end_percent",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Where guidance ends; 1 is the cleanest level of the model.",
                ),
            ],
            outputs=_outputs(),
        )

    @classmethod
    def execute(cls, guider, rescale: float, clamp: float, start_percent: float, end_percent: float) -> io.NodeOutput:
        record = new_norm_record()
        limits = GuidanceLimits(rescale, clamp, start_percent, end_percent)
        return io.NodeOutput(extend(guider, NormGuider, norm_limits=limits, norm_record=record), record)


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
                GUIDANCE.Input("record", tooltip="From Norm Guider, Likelihood Guider or Particle Guider."),
                io.Latent.Input(
                    "latent",
                    tooltip="Any output of the sampler that used the guider. Only its arrival counts: it makes this "
                    "node wait for the sampling.",
                ),
            ],
            outputs=[
                io.Image.Output("image", tooltip="The plot: one panel per quantity, one line per item of the batch."),
                io.String.Output("table", tooltip="The numbers as CSV, one row per call of the model."),
            ],
        )

    @classmethod
    def execute(cls, record, latent) -> io.NodeOutput:
        picture = plot_record(record, **ON_A_NODE)
        return io.NodeOutput(picture, record.to_csv(), ui=ui.PreviewImage(picture, cls=cls))


NODES = [SamplerLabLikelihoodGuider, SamplerLabParticleGuider, SamplerLabNormGuider, SamplerLabPlotGuidance]
