"""Nodes that make sigmas and show them: our schedules, a KSampler's, one from a recorded trajectory, and the plot."""

from __future__ import annotations

from comfy_api.latest import io, ui

from ..diffusion.parameterization import VE, Parameterization
from ..host.model_sampling import parameterization_of_model_sampling
from ..host.samplers import drops_penultimate_sigma
from ..host.schedulers import SCHEDULES, ScheduleOptions, host_schedules, schedule_sigmas, sigmas_of_ksampler
from ..host.trajectory import Trajectory, recording
from ..instruments.plots.sigmas import ON_A_NODE, Schedule, plot_schedules
from ..schedulers import equal_error, ksampler_sigmas, poly_rho
from .types import TRAJECTORY

CATEGORY = "sampler lab/schedulers"
PLOTTED = 6


def _sigmas_output() -> io.Output:
    return io.Sigmas.Output(tooltip="For the sigmas input of SamplerCustomAdvanced.")


def _kind(model) -> Parameterization:
    return VE if model is None else parameterization_of_model_sampling(model.get_model_object("model_sampling"))


class SamplerLabScheduler(io.ComfyNode):
    """SIGMAS: one of our schedules, for a model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabScheduler",
            display_name="Scheduler (Sampler Lab)",
            category=CATEGORY,
            description="Noise levels for a model, evenly spaced in a quantity of your choice. Each is in the "
            "KSampler's dropdown, too, as lab_…; here its numbers can be set.",
            search_aliases=["BasicScheduler", "sigmas", *(f"lab_{name}" for name in SCHEDULES), "log SNR", "arctan"],
            inputs=[
                io.Model.Input("model", tooltip="Says which noise levels there are, and whether it is a flow model."),
                io.Combo.Input(
                    "schedule",
                    options=list(SCHEDULES),
                    default="half_log_snr",
                    tooltip="poly_rho: even in sigma^(1/rho), like karras. half_log_snr: even in the logarithm of "
                    "noise over signal. angle: even in its arctangent, most steps where they are about equal. "
                    "linear_quadratic: slow start, for flow models with few steps. trailing: the model's training "
                    "levels counted from pure noise, for distilled models (Turbo, Lightning).",
                ),
                io.Int.Input("steps", default=20, min=1, max=10_000, tooltip="Steps that are taken."),
                io.Float.Input(
                    "denoise",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Below 1 only the last part of a longer schedule is taken, for image to image, as in a "
                    "KSampler.",
                ),
                io.Float.Input(
                    "sigma_max",
                    default=0.0,
                    min=0.0,
                    max=10_000.0,
                    step=0.01,
                    round=False,
                    optional=True,
                    advanced=True,
                    tooltip="First level, in the model's own units. 0: the model's largest.",
                ),
                io.Float.Input(
                    "sigma_min",
                    default=0.0,
                    min=0.0,
                    max=10_000.0,
                    step=0.001,
                    round=False,
                    optional=True,
                    advanced=True,
                    tooltip="Last level above 0, in the model's own units. 0: the model's smallest. linear_quadratic "
                    "has none.",
                ),
                io.Float.Input(
                    "rho",
                    default=7.0,
                    min=0.1,
                    max=100.0,
                    step=0.1,
                    round=False,
                    optional=True,
                    advanced=True,
                    tooltip="Of poly_rho: 1 spaces evenly in sigma; larger spends more steps at small noise.",
                ),
                io.Float.Input(
                    "threshold",
                    default=0.025,
                    min=0.0001,
                    max=0.5,
                    step=0.001,
                    round=False,
                    optional=True,
                    advanced=True,
                    tooltip="Of linear_quadratic: the share of the way that the first half of the steps goes.",
                ),
            ],
            outputs=[_sigmas_output()],
        )

    @classmethod
    def execute(
        cls,
        model,
        schedule: str,
        steps: int,
        denoise: float,
        sigma_max: float = 0.0,
        sigma_min: float = 0.0,
        rho: float = 7.0,
        threshold: float = 0.025,
    ) -> io.NodeOutput:
        model_sampling = model.get_model_object("model_sampling")
        options = ScheduleOptions(sigma_max, sigma_min, rho, threshold)
        sigmas = ksampler_sigmas(lambda n: schedule_sigmas(schedule, model_sampling, n, options), steps, denoise)
        return io.NodeOutput(sigmas)


class SamplerLabAnnealingScheduler(io.ComfyNode):
    """SIGMAS: the annealing levels of DAPS."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabAnnealingScheduler",
            display_name="Annealing Scheduler (poly-rho)",
            category=CATEGORY,
            description="The noise levels that LatentDAPS anneals through, evenly spaced in sigma^(1/rho).",
            search_aliases=["poly", "karras", "DAPS schedule", "sigmas"],
            inputs=[
                io.Int.Input("steps", default=50, min=1, max=10_000, tooltip="Annealing steps; time grows with them."),
                io.Float.Input(
                    "sigma_max",
                    default=10.0,
                    min=1e-4,
                    max=10_000.0,
                    step=0.01,
                    round=False,
                    tooltip="First noise level (latents 10, pixels 100).",
                ),
                io.Float.Input(
                    "sigma_min",
                    default=0.1,
                    min=1e-5,
                    max=1_000.0,
                    step=0.001,
                    round=False,
                    tooltip="Last noise level before 0 (published 0.1; 0.05 for the Emoji prior).",
                ),
                io.Float.Input(
                    "rho",
                    default=7.0,
                    min=0.1,
                    max=100.0,
                    step=0.1,
                    round=False,
                    tooltip="1 spaces evenly in sigma; larger spends more steps at small noise. Usual: 7.",
                ),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="Connect it for flow models (Flux, SD3, Emoji flow): the levels are then converted to "
                    "the model's own sigma, sigma/(1 + sigma). Other models need no conversion.",
                ),
                io.Boolean.Input(
                    "drop_sigma_min",
                    default=False,
                    optional=True,
                    advanced=True,
                    tooltip="On: the levels of the official DAPS code, which leaves sigma_min itself out and ends "
                    "above it (0.1138 for 0.1 and 50 steps). Needed to replicate it, for nothing else.",
                ),
            ],
            outputs=[_sigmas_output()],
        )

    @classmethod
    def execute(
        cls, steps: int, sigma_max: float, sigma_min: float, rho: float, model=None, drop_sigma_min: bool = False
    ) -> io.NodeOutput:
        sigmas = poly_rho(steps, sigma_min, sigma_max, rho, drop_sigma_min=drop_sigma_min)
        return io.NodeOutput(_kind(model).sigma_from_ve(sigmas))


class SamplerLabKSamplerSigmas(io.ComfyNode):
    """SIGMAS: exactly those of a KSampler or KSamplerAdvanced."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabKSamplerSigmas",
            display_name="KSampler Sigmas",
            category=CATEGORY,
            description="The noise levels that a KSampler or KSampler (Advanced) with these settings samples with, to "
            "the bit, so that it can be rebuilt from parts and then changed.",
            search_aliases=["BasicScheduler", "KSamplerAdvanced", "start_at_step", "end_at_step", "denoise", "sigmas"],
            inputs=[
                io.Model.Input("model", tooltip="The model that is sampled: it says which noise levels there are."),
                io.Combo.Input(
                    "scheduler",
                    options=host_schedules(),
                    tooltip="As in a KSampler, with the lab_… schedules and those of other packs.",
                ),
                io.Int.Input("steps", default=20, min=1, max=10_000, tooltip="As in a KSampler."),
                io.Float.Input(
                    "denoise",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="As in a KSampler: below 1 a schedule of int(steps/denoise) steps is made, and its last "
                    "steps are taken. KSampler (Advanced) has 1.",
                ),
                io.Int.Input(
                    "start_at_step",
                    default=0,
                    min=0,
                    max=10_000,
                    optional=True,
                    tooltip="As in KSampler (Advanced): the first step that is taken, counted from 0. KSampler: 0.",
                ),
                io.Int.Input(
                    "end_at_step",
                    default=10_000,
                    min=0,
                    max=10_000,
                    optional=True,
                    tooltip="As in KSampler (Advanced): the step to stop before. KSampler: 10000.",
                ),
                io.Boolean.Input(
                    "force_full_denoise",
                    default=True,
                    optional=True,
                    tooltip="When stopped before the end, make the last level 0. On is return_with_leftover_noise: "
                    "disable in KSampler (Advanced).",
                ),
                io.Sampler.Input(
                    "sampler",
                    optional=True,
                    tooltip="The sampler that will be used. A KSampler leaves out the last level above 0 for dpm_2, "
                    "dpm_2_ancestral, uni_pc and uni_pc_bh2; connect theirs, and so does this node.",
                ),
            ],
            outputs=[_sigmas_output()],
        )

    @classmethod
    def execute(
        cls,
        model,
        scheduler: str,
        steps: int,
        denoise: float,
        start_at_step: int = 0,
        end_at_step: int = 10_000,
        force_full_denoise: bool = True,
        sampler=None,
    ) -> io.NodeOutput:
        sigmas = sigmas_of_ksampler(
            model,
            scheduler,
            steps,
            denoise,
            start_at_step,
            end_at_step,
            force_full_denoise,
            discard_penultimate=drops_penultimate_sigma(sampler),
        )
        return io.NodeOutput(sigmas)


class SamplerLabRecordTrajectory(io.ComfyNode):
    """SAMPLER and TRAJECTORY: the same sampler, overheard."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabRecordTrajectory",
            display_name="Record Trajectory",
            category=CATEGORY,
            description="Notes what the model predicts at every step of a run, for the Equal Error Scheduler. The "
            "sampler itself is unchanged, to the bit.",
            search_aliases=["curvature", "trajectory", "adaptive steps", "optimal steps"],
            inputs=[
                io.Sampler.Input("sampler", tooltip="Any sampler. A good one with many steps (30 or more) tells most."),
            ],
            outputs=[
                io.Sampler.Output(tooltip="The same sampler, for SamplerCustomAdvanced."),
                TRAJECTORY.Output(display_name="trajectory", tooltip="For the Equal Error Scheduler. Latest run only."),
            ],
        )

    @classmethod
    def execute(cls, sampler) -> io.NodeOutput:
        trajectory = Trajectory()
        return io.NodeOutput(recording(sampler, trajectory), trajectory)


class SamplerLabEqualErrorScheduler(io.ComfyNode):
    """SIGMAS: short steps where a recorded run bends."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabEqualErrorScheduler",
            display_name="Equal Error Scheduler",
            category=CATEGORY,
            description="Spaces few steps by the measured curvature of a long run: every step gets the same share of "
            "the estimated error.",
            search_aliases=["curvature", "optimal steps", "align your steps", "GITS", "adaptive", "sigmas"],
            inputs=[
                TRAJECTORY.Input("trajectory", tooltip="From Record Trajectory."),
                io.Latent.Input(
                    "latent",
                    tooltip="Any output of the sampling that was recorded. Only its arrival counts: it makes this node "
                    "wait for it.",
                ),
                io.Int.Input("steps", default=8, min=1, max=10_000, tooltip="Steps of the new schedule."),
                io.Float.Input(
                    "floor",
                    default=0.05,
                    min=0.001,
                    max=1.0,
                    step=0.01,
                    round=False,
                    optional=True,
                    advanced=True,
                    tooltip="Share of the steps that is spread evenly however straight the run was. Larger is more "
                    "careful; 1 ignores the measurement.",
                ),
            ],
            outputs=[_sigmas_output()],
        )

    @classmethod
    def execute(cls, trajectory, latent, steps: int, floor: float = 0.05) -> io.NodeOutput:
        return io.NodeOutput(equal_error(steps, *trajectory.levels(), floor))


class SamplerLabPlotSigmas(io.ComfyNode):
    """IMAGE: schedules side by side."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabPlotSigmas",
            display_name="Plot Sigmas",
            category=CATEGORY,
            description="Several schedules in one picture: sigma, sigma on a logarithmic axis, and how long each step "
            "is in half log-SNR.",
            search_aliases=["sigmas", "schedule plot", "preview sigmas", "graph", "log SNR"],
            is_output_node=True,
            inputs=[
                io.Sigmas.Input("sigmas_1", tooltip="A schedule, from any scheduler."),
                *(
                    io.Sigmas.Input(f"sigmas_{k}", optional=True, tooltip="Another schedule, for comparison.")
                    for k in range(2, PLOTTED + 1)
                ),
                io.String.Input(
                    "names",
                    default="",
                    multiline=True,
                    optional=True,
                    advanced=True,  # a text of several lines would take half of the picture's room
                    tooltip="Names for the legend, one a line, in the order of the inputs. Without: sigmas_1, …",
                ),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="Connect it for flow models: signal and noise are then told apart as the model does. Other "
                    "models need none.",
                ),
            ],
            outputs=[io.Image.Output(tooltip="The picture, for Save Image.")],
        )

    @classmethod
    def execute(cls, names: str = "", model=None, **sigmas) -> io.NodeOutput:
        kind, lines = _kind(model), names.splitlines()
        schedules = []
        for k in range(PLOTTED):
            levels = sigmas.get(f"sigmas_{k + 1}")
            if levels is None:
                continue
            levels = levels.double().cpu()
            if kind.is_flow and len(levels) and float(levels.max()) > 1:
                raise ValueError(
                    f"sigmas_{k + 1} reaches {float(levels.max()):g}, but the model is a flow model, whose sigma runs "
                    "from 1 to 0; connect a scheduler made for this model, or disconnect the model."
                )
            name = lines[k].strip() if k < len(lines) else ""
            snr = kind.half_log_snr(levels)
            schedules.append(Schedule(name or f"sigmas_{k + 1}", tuple(levels.tolist()), tuple(snr.tolist())))
        picture = plot_schedules(schedules, **ON_A_NODE)
        return io.NodeOutput(picture, ui=ui.PreviewImage(picture, cls=cls))


NODES = [
    SamplerLabScheduler,
    SamplerLabAnnealingScheduler,
    SamplerLabKSamplerSigmas,
    SamplerLabRecordTrajectory,
    SamplerLabEqualErrorScheduler,
    SamplerLabPlotSigmas,
]
