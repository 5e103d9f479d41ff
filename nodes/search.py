"""Nodes of the search with several particles: how they explore, who goes on, how the rest is polished.

Each gives settings to LatentDAPS Sampler and does nothing by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from comfy_api.latest import io

from ..host.feature_space import FeatureSpaceOfRun
from ..posterior.interaction.features import DINO_MODELS, FEATURE_SPACES
from ..posterior.interaction.repulsion import MODES, RepulsionOptions
from ..posterior.moves.hard_consistency import HardConsistencyOptions
from ..posterior.moves.pruning import MODES as PRUNING_MODES
from ..posterior.moves.pruning import PruningOptions
from . import repulsion_inputs
from .types import HARD_CONSISTENCY, PRUNING, REPULSION

CATEGORY = "sampler lab/posterior"
FOR_LATENT_DAPS = "For the input of the same name of LatentDAPS Sampler."


@dataclass(frozen=True)
class Repulsion:
    """Settings of repulsion; the feature space gets its VAE from the sampler that uses them."""

    options: RepulsionOptions
    space: str
    preprocessing: str
    dino_model: str

    def feature_space(self, vae) -> FeatureSpaceOfRun:
        return FeatureSpaceOfRun(self.space, vae, self.preprocessing, self.dino_model)


class SamplerLabRepulsion(io.ComfyNode):
    """REPULSION: how particles keep away from each other."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabRepulsion",
            display_name="Repulsion",
            category=CATEGORY,
            description="While the picture is laid out, LatentDAPS particles push each other apart, so that several "
            "attempts do not all end in the same place.",
            search_aliases=["diversity", "particles", "RSD", "particle guidance", "DINO", "explore"],
            inputs=[
                io.Combo.Input(
                    "mode",
                    options=list(MODES),
                    default="normalised",
                    tooltip="normalised: rho is a share of the model's own direction, the same on every model. raw: "
                    "scale multiplies the force, as published; its effect depends on model and noise level.",
                ),
                io.Float.Input(
                    "rho",
                    default=0.04,
                    min=0.0,
                    max=10.0,
                    step=0.005,
                    round=False,
                    tooltip="Strength in the mode normalised, usually 0.02 to 0.06. 0: off.",
                ),
                io.Float.Input(
                    "scale",
                    default=10.0,
                    min=0.0,
                    max=100_000.0,
                    step=0.1,
                    round=False,
                    tooltip="Strength in the mode raw (published as repulsion_scale: 10 and less change little, 50 "
                    "destroys the pictures). 0: off. The mode normalised does not use it.",
                ),
                repulsion_inputs.sigma_break(),
                io.Combo.Input(
                    "feature_space",
                    options=list(FEATURE_SPACES),
                    default="latent",
                    tooltip="In what the particles shall differ. latent: layout and colours, free. pixel: the same on "
                    "the decoded picture. dino: what is shown; needs the DINO weights in models/dino, else latent is "
                    "used and a notice says so.",
                ),
                repulsion_inputs.schedule(),
                io.Combo.Input(
                    "dino_model",
                    options=list(DINO_MODELS),
                    default=DINO_MODELS[0],
                    optional=True,
                    advanced=True,
                    tooltip="Which DINO the feature space dino uses, by timm's name. The small one is as published.",
                ),
                repulsion_inputs.preprocessing(),
                repulsion_inputs.micro_batch("Particles"),
            ],
            outputs=[REPULSION.Output(display_name="repulsion", tooltip=FOR_LATENT_DAPS)],
        )

    @classmethod
    def execute(
        cls,
        mode: str,
        rho: float,
        scale: float,
        sigma_break: float,
        feature_space: str,
        schedule: str = "linear",
        dino_model: str = DINO_MODELS[0],
        preprocessing: str = "imagenet",
        micro_batch: int = 0,
    ) -> io.NodeOutput:
        options = RepulsionOptions(
            strength=rho if mode == "normalised" else scale,
            mode=mode,
            schedule=schedule,
            sigma_break=sigma_break,
            micro_batch=micro_batch,
        )
        return io.NodeOutput(Repulsion(options, feature_space, preprocessing, dino_model))


class SamplerLabPruning(io.ComfyNode):
    """PRUNING: which particles go on."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabPruning",
            display_name="Pruning",
            category=CATEGORY,
            description="Late in a LatentDAPS run, drop the particles that are not worth their time: memory and time "
            "fall with the number that go on.",
            search_aliases=["particles", "prune", "select", "resample", "best of N", "sequential Monte Carlo"],
            inputs=[
                io.Int.Input(
                    "keep",
                    default=2,
                    min=0,
                    max=4096,
                    tooltip="How many particles go on. 0, or as many as there are: no pruning.",
                ),
                io.Float.Input(
                    "progress",
                    default=0.8,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="After which share of the steps. 0.8 is t = 200 of 1000 in papers. Too early, and the "
                    "eventual best may not yet look like it.",
                ),
                io.Combo.Input(
                    "mode",
                    options=list(PRUNING_MODES),
                    default="diverse",
                    tooltip="diverse: the best, then different pictures with a residual not much worse; of duplicates "
                    "the better one. residual: the smallest residuals. resample: drawn by tempered likelihood, good "
                    "ones may go on twice.",
                ),
                io.Float.Input(
                    "tolerance",
                    default=0.03,
                    min=0.0,
                    max=1000.0,
                    step=0.01,
                    optional=True,
                    advanced=True,
                    tooltip="Mode diverse: a different picture is preferred to a duplicate while its residual is at "
                    "most this share above the smallest.",
                ),
                io.Float.Input(
                    "duplicate_psnr",
                    default=20.0,
                    min=0.0,
                    max=100.0,
                    step=0.5,
                    optional=True,
                    advanced=True,
                    tooltip="Mode diverse: pictures closer to each other than this many dB, in any orientation that "
                    "the measurement cannot tell apart, are duplicates.",
                ),
                io.Float.Input(
                    "sigma",
                    default=0.0,
                    min=0.0,
                    max=1000.0,
                    step=0.01,
                    round=False,
                    optional=True,
                    advanced=True,
                    tooltip="Prune after the first step at or below this noise level, whatever the progress. 0: by "
                    "progress. For flow models in the scale of the others: sigma/(1 - sigma).",
                ),
                io.Float.Input(
                    "effective_share",
                    default=0.5,
                    min=0.01,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    advanced=True,
                    tooltip="Mode resample: effective sample size as a share of the particles. Small: the best few "
                    "take all. 1: a lottery.",
                ),
            ],
            outputs=[PRUNING.Output(display_name="pruning", tooltip=FOR_LATENT_DAPS)],
        )

    @classmethod
    def execute(
        cls,
        keep: int,
        progress: float,
        mode: str,
        tolerance: float = 0.03,
        duplicate_psnr: float = 20.0,
        sigma: float = 0.0,
        effective_share: float = 0.5,
    ) -> io.NodeOutput:
        return io.NodeOutput(
            PruningOptions(
                keep=keep,
                progress=progress,
                sigma=sigma,
                mode=mode,
                tolerance=tolerance,
                duplicate_psnr=duplicate_psnr,
                effective_share=effective_share,
            )
        )


class SamplerLabHardConsistency(io.ComfyNode):
    """HARD_CONSISTENCY: how particles are held to the measurement."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        default = HardConsistencyOptions()
        return io.Schema(
            node_id="SamplerLabHardConsistency",
            display_name="Hard Consistency",
            category=CATEGORY,
            description="Late in a LatentDAPS run, optimise each particle's latent until its picture explains the "
            "measurement as well as the truth would, and no better. A move that the model finds less plausible is "
            "taken back.",
            search_aliases=["ReSample", "optimise", "polish", "data consistency", "Adam", "refine"],
            inputs=[
                io.Int.Input(
                    "iterations",
                    default=default.iterations,
                    min=0,
                    max=100_000,
                    tooltip="At most so many optimisation steps for each particle after each annealing step; each "
                    "decodes it forwards and backwards. A particle at the noise floor takes none. 0: off.",
                ),
                io.Float.Input(
                    "learning_rate",
                    default=default.learning_rate,
                    min=0.0,
                    max=1.0,
                    step=1e-4,
                    round=False,
                    tooltip="Step size in the latent. Published: 0.005, which drags pictures away from what the model "
                    "finds plausible. 0: off.",
                ),
                io.Float.Input(
                    "start",
                    default=default.start,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="After which share of the steps it begins; it then follows every step. 0.8 is t = 200 of "
                    "1000 in papers.",
                ),
                io.Float.Input(
                    "slack",
                    default=default.slack,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    optional=True,
                    advanced=True,
                    tooltip="How near to the noise floor a particle is done, in standard deviations of what the noise "
                    "alone does to the truth's residual. Larger: stop earlier.",
                ),
                io.Int.Input(
                    "window",
                    default=default.window,
                    min=1,
                    max=10_000,
                    optional=True,
                    advanced=True,
                    tooltip="A particle that has not improved by min_improvement in so many iterations is done.",
                ),
                io.Float.Input(
                    "min_improvement",
                    default=default.min_improvement,
                    min=0.0,
                    max=1.0,
                    step=1e-4,
                    round=False,
                    optional=True,
                    advanced=True,
                    tooltip="Share by which the residual must fall within the window.",
                ),
                io.Float.Input(
                    "gate_sigma",
                    default=default.gate_sigma,
                    min=0.0,
                    max=100.0,
                    step=0.01,
                    round=False,
                    optional=True,
                    advanced=True,
                    tooltip="Noise level at which the model is asked whether the moved picture is still plausible. "
                    "0: it is not asked.",
                ),
                io.Float.Input(
                    "gate_tolerance",
                    default=default.gate_tolerance,
                    min=0.0,
                    max=100.0,
                    step=0.01,
                    round=False,
                    optional=True,
                    advanced=True,
                    tooltip="Share by which the model's own error may grow before the move is taken back.",
                ),
            ],
            outputs=[HARD_CONSISTENCY.Output(display_name="hard_consistency", tooltip=FOR_LATENT_DAPS)],
        )

    @classmethod
    def execute(cls, **settings: float) -> io.NodeOutput:
        return io.NodeOutput(HardConsistencyOptions(**settings))


NODES: list[type[io.ComfyNode]] = [SamplerLabRepulsion, SamplerLabPruning, SamplerLabHardConsistency]
