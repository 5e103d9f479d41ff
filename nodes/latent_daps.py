"""Nodes of posterior sampling: the LatentDAPS sampler and its particles."""

from __future__ import annotations

from dataclasses import replace

from comfy_api.latest import io

from ..host.latent_daps import RunHandle, latent_daps_sampler
from ..host.latents import empty_latent
from ..posterior.likelihood import PRECISIONS
from ..samplers.latent_daps import PRESETS
from .types import HARD_CONSISTENCY, MEASUREMENT, PRUNING, REPULSION, RUN

AS_PRESET = "as the preset"


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
                    "vae", tooltip="The VAE of the model that is sampled. Gradients pass through its decoder."
                ),
                io.Combo.Input(
                    "preset",
                    options=list(PRESETS),
                    default="emoji_langevin",
                    tooltip="Numbers that work together. emoji_…: tuned on the Emoji-64 prior. daps_official…: the "
                    "official DAPS code, for latent diffusion, Stable Diffusion (published at noise 0.01) and pixel "
                    "models; give the Annealing Scheduler drop_sigma_min. hmc, hmc_stable_diffusion, pixel_langevin: "
                    "the same chains, the decoder may run in bfloat16. langevin: no published setting. The inputs "
                    "below change single numbers of it.",
                ),
                io.Float.Input(
                    "measurement_weight",
                    default=1.0,
                    min=0.0,
                    max=1000.0,
                    step=0.01,
                    tooltip="Weight of the measurement against the prior. 1: as the preset. 0: the measurement is "
                    "ignored and the model is sampled as it is.",
                ),
                REPULSION.Input(
                    "repulsion",
                    optional=True,
                    tooltip="From the Repulsion node: particles keep away from each other while the picture is laid "
                    "out. Left open: independent attempts.",
                ),
                PRUNING.Input(
                    "pruning",
                    optional=True,
                    tooltip="From the Pruning node: late in the run only the promising particles go on. The output "
                    "then has fewer items. Left open: all go on.",
                ),
                HARD_CONSISTENCY.Input(
                    "hard_consistency",
                    optional=True,
                    tooltip="From the Hard Consistency node: late in the run each particle is moved until it explains "
                    "the measurement. Left open: the chain alone does that.",
                ),
                io.Int.Input(
                    "mcmc_steps",
                    default=0,
                    min=0,
                    max=10_000,
                    optional=True,
                    advanced=True,
                    tooltip="Chain steps per annealing step; each decodes every particle forwards and backwards, "
                    "so time grows with it. 0: as the preset.",
                ),
                io.Float.Input(
                    "step_size",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=1e-6,
                    round=False,
                    optional=True,
                    advanced=True,
                    tooltip="Step size of the chain at the first annealing step. Too large: noise or NaN. Too "
                    "small: the residual stays high. 0: as the preset.",
                ),
                io.Float.Input(
                    "step_size_end",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    round=False,
                    optional=True,
                    advanced=True,
                    tooltip="Share of the step size that is left at the last annealing step. 0: as the preset.",
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
                    tooltip="Width of the likelihood per measured value. Smaller trusts the measurement more; 1.41 "
                    "times the noise sigma is honest about the noise. All presets are sharper. 0: as the preset.",
                ),
                io.Float.Input(
                    "momentum",
                    default=-1.0,
                    min=-1.0,
                    max=0.999,
                    step=0.01,
                    optional=True,
                    advanced=True,
                    tooltip="Share of the velocity that an hmc step keeps; langevin has none. -1: as the preset.",
                ),
                io.Combo.Input(
                    "prior_width",
                    options=[AS_PRESET, "sigma", "capped"],
                    default=AS_PRESET,
                    optional=True,
                    advanced=True,
                    tooltip="How far the chain may move from the model's estimate. sigma: as published. capped: "
                    "never more than the spread of a standardised latent, which keeps the early steps from "
                    "over-fitting.",
                ),
                io.Float.Input(
                    "gradient_clamp",
                    default=-1.0,
                    min=-1.0,
                    max=1e6,
                    step=0.1,
                    optional=True,
                    advanced=True,
                    tooltip="Bound on each entry of the measurement's gradient (the published code uses 1). 0: no "
                    "bound. -1: as the preset.",
                ),
                io.Int.Input(
                    "ode_steps",
                    default=0,
                    min=0,
                    max=100,
                    optional=True,
                    advanced=True,
                    tooltip="Model calls per annealing step for the clean estimate. 0: as the preset.",
                ),
                io.Float.Input(
                    "ode_sigma_min",
                    default=0.0,
                    min=0.0,
                    max=10.0,
                    step=0.001,
                    round=False,
                    optional=True,
                    advanced=True,
                    tooltip="Noise level at which the clean estimate's path ends. 0: as the preset.",
                ),
                io.Int.Input(
                    "micro_batch",
                    default=0,
                    min=0,
                    max=1024,
                    optional=True,
                    advanced=True,
                    tooltip="Particles decoded at a time. 0: all. Choose 1 when memory runs out; results do not "
                    "change.",
                ),
                io.Combo.Input(
                    "precision",
                    options=list(PRECISIONS),
                    default="auto",
                    optional=True,
                    advanced=True,
                    tooltip="Of the decoder inside the chain. auto: bfloat16 on processors that have it in "
                    "hardware, about twice as fast; the daps_official presets are always full. full: the VAE's own. "
                    "On a GPU both are the VAE's own.",
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
        measurement,
        vae,
        preset: str,
        measurement_weight: float,
        repulsion=None,
        pruning=None,
        hard_consistency=None,
        mcmc_steps: int = 0,
        step_size: float = 0.0,
        step_size_end: float = 0.0,
        tau: float = 0.0,
        momentum: float = -1.0,
        prior_width: str = AS_PRESET,
        gradient_clamp: float = -1.0,
        ode_steps: int = 0,
        ode_sigma_min: float = 0.0,
        micro_batch: int = 0,
        precision: str = "auto",
        metrics_prefix: str = "sampler_lab/run",
    ) -> io.NodeOutput:
        options = PRESETS[preset]
        mcmc = {"steps": mcmc_steps, "step_size": step_size, "step_size_end": step_size_end, "tau": tau}
        changed = {name: value for name, value in mcmc.items() if value > 0}
        if momentum >= 0:
            changed["momentum"] = momentum
        if gradient_clamp >= 0:
            changed["gradient_clamp"] = gradient_clamp
        if prior_width != AS_PRESET:
            changed["prior_width"] = prior_width
        ode = {name: value for name, value in {"steps": ode_steps, "sigma_min": ode_sigma_min}.items() if value > 0}
        options = replace(
            options,
            mcmc=replace(options.mcmc, weight=measurement_weight, **changed),
            ode=replace(options.ode, **ode),
            micro_batch=micro_batch,
            # The official code never lowers it, so what replicates that code asks for full.
            precision=options.precision if precision == "auto" else precision,
            repulsion=None if repulsion is None else repulsion.options,
            pruning=pruning,
            hard_consistency=hard_consistency,
        )
        features = None if repulsion is None else repulsion.feature_space(vae)
        run = RunHandle(metrics_prefix, cls.hidden.unique_id)
        return io.NodeOutput(latent_daps_sampler(measurement, vae, options, run, features), run)


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
    def execute(cls, measurement, vae, particles: int) -> io.NodeOutput:
        return io.NodeOutput({"samples": empty_latent(vae, measurement.image_shape, particles)})


NODES = [SamplerLabLatentDAPS, SamplerLabParticles]
