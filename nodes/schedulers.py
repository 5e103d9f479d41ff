"""Nodes that make sigmas and show them: our schedules, a KSampler's, and the plot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from comfy_api.latest import io, ui

from ..diffusion.options import Option
from ..diffusion.parameterization import VE, Parameterization
from ..host.model_sampling import parameterization_of_patcher
from ..host.samplers import drops_penultimate_sigma
from ..host.schedulers import host_schedules, schedule_sigmas, sigmas_of_ksampler
from ..instruments.plots.sigmas import ON_A_NODE, Schedule, plot_schedules
from ..schedulers import CATALOGUE, RANGE, Annealing, SearchLevels, ksampler_sigmas
from . import trajectory
from .inputs import widget, widgets
from .sigmas import CATEGORY, STEPS, sigmas_output

PLOTTED = 6
DENOISE = Option(
    "denoise",
    1.0,
    "Below 1 only the last part of a longer schedule is taken, for image to image, as in a KSampler.",
    minimum=0.0,
    maximum=1.0,
    step=0.01,
)


#: A KSampler's and a KSampler (Advanced)'s own settings.
KSAMPLER = (
    replace(STEPS, description="As in a KSampler."),
    replace(
        DENOISE,
        description="As in a KSampler: below 1 a schedule of int(steps/denoise) steps is made, and its last steps are "
        "taken. KSampler (Advanced) has 1.",
    ),
    Option(
        "start_at_step",
        0,
        "As in KSampler (Advanced): the first step that is taken, counted from 0. KSampler: 0.",
        minimum=0,
        maximum=10_000,
        added_later=True,
    ),
    Option(
        "end_at_step",
        10_000,
        "As in KSampler (Advanced): the step to stop before. KSampler: 10000.",
        minimum=0,
        maximum=10_000,
        added_later=True,
    ),
    Option(
        "force_full_denoise",
        True,
        "When stopped before the end, make the last level 0. On is return_with_leftover_noise: disable in KSampler "
        "(Advanced).",
        added_later=True,
    ),
)


def _parameterization(model: Any) -> Parameterization:
    return VE if model is None else parameterization_of_patcher(model)


def _schedules_widgets() -> list[io.Input]:
    """What single schedules can be told: each option once, and whose it is."""
    named: dict[str, tuple[Option, list[str]]] = {}
    for each in CATALOGUE:
        for option in each.options:
            named.setdefault(option.name, (option, []))[1].append(each.name)
    return [
        widget(option, tooltip=f"Of {' and '.join(names)}: {option.description[0].lower()}{option.description[1:]}")
        for option, names in named.values()
    ]


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
            search_aliases=["BasicScheduler", "sigmas", *(e.dropdown_name for e in CATALOGUE), "log SNR", "arctan"],
            inputs=[
                io.Model.Input("model", tooltip="Says which noise levels there are, and whether it is a flow model."),
                io.Combo.Input(
                    "schedule",
                    options=[each.name for each in CATALOGUE],
                    default="half_log_snr",
                    tooltip="What the levels are evenly spaced in, and so where most steps are taken. half_log_snr "
                    "suits DPM++, RES and ER SDE; the help page compares them all.",
                ),
                widget(STEPS),
                widget(DENOISE),
                *widgets(RANGE),
                *_schedules_widgets(),
            ],
            outputs=[sigmas_output()],
        )

    @classmethod
    def execute(cls, model: Any, schedule: str, steps: int, denoise: float, **options: Any) -> io.NodeOutput:
        model_sampling = model.get_model_object("model_sampling")

        def levels(n: int) -> torch.Tensor:
            return schedule_sigmas(schedule, model_sampling, n, **options)

        return io.NodeOutput(ksampler_sigmas(levels, steps, denoise))


class SamplerLabAnnealingScheduler(io.ComfyNode):
    """SIGMAS: the annealing levels of DAPS."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        *numbers, drop_sigma_min = widgets(Annealing.options())
        return io.Schema(
            node_id="SamplerLabAnnealingScheduler",
            display_name="Annealing Scheduler (poly-rho)",
            category=CATEGORY,
            description="The noise levels that LatentDAPS anneals through, evenly spaced in sigma^(1/rho).",
            search_aliases=["poly", "karras", "DAPS schedule", "sigmas"],
            inputs=[
                *numbers,
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="Connect it for flow models (Flux, SD3, Emoji flow): the levels are then converted to "
                    "the model's own sigma, sigma/(1 + sigma). Other models need no conversion.",
                ),
                drop_sigma_min,
            ],
            outputs=[sigmas_output()],
        )

    @classmethod
    def execute(cls, model: Any = None, **settings: Any) -> io.NodeOutput:
        return io.NodeOutput(_parameterization(model).sigma_from_ve(Annealing(**settings).sigmas()))


class SamplerLabSearchScheduler(io.ComfyNode):
    """SIGMAS: the levels of a search and of a fit after it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabSearchScheduler",
            display_name="Search Scheduler",
            category=CATEGORY,
            description="Noise levels for phase retrieval from parts: most of them where it is decided what the "
            "picture is, a few at the end for the Joint Fit.",
            search_aliases=["recipe", "phase retrieval", "log", "sigmas"],
            inputs=[
                *widgets(SearchLevels.options()),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="Connect it for flow models (Flux, SD3, Emoji flow): the levels are then converted to "
                    "the model's own sigma, sigma/(1 + sigma). Other models need no conversion.",
                ),
            ],
            outputs=[sigmas_output()],
        )

    @classmethod
    def execute(cls, model: Any = None, **settings: Any) -> io.NodeOutput:
        return io.NodeOutput(_parameterization(model).sigma_from_ve(SearchLevels(**settings).sigmas()))


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
                *widgets(KSAMPLER),
                io.Sampler.Input(
                    "sampler",
                    optional=True,
                    tooltip="The sampler that will be used. A KSampler leaves out the last level above 0 for dpm_2, "
                    "dpm_2_ancestral, uni_pc and uni_pc_bh2; connect theirs, and so does this node.",
                ),
            ],
            outputs=[sigmas_output()],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        scheduler: str,
        steps: int,
        denoise: float,
        start_at_step: int = 0,
        end_at_step: int = 10_000,
        force_full_denoise: bool = True,
        sampler: Any = None,
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
    def execute(cls, names: str = "", model: Any = None, **sigmas: torch.Tensor | None) -> io.NodeOutput:
        parameterization, lines = _parameterization(model), names.splitlines()
        schedules = []
        for k in range(PLOTTED):
            levels = sigmas.get(f"sigmas_{k + 1}")
            if levels is None:
                continue
            levels = levels.double().cpu()
            if parameterization.is_flow and len(levels) and float(levels.max()) > 1:
                raise ValueError(
                    f"sigmas_{k + 1} reaches {float(levels.max()):g}, but the model is a flow model, whose sigma runs "
                    "from 1 to 0; connect a scheduler made for this model, or disconnect the model."
                )
            name = lines[k].strip() if k < len(lines) else ""
            snr = parameterization.half_log_snr(levels)
            schedules.append(Schedule(name or f"sigmas_{k + 1}", tuple(levels.tolist()), tuple(snr.tolist())))
        picture = plot_schedules(schedules, **ON_A_NODE)
        return io.NodeOutput(picture, ui=ui.PreviewImage(picture, cls=cls))


NODES = [
    SamplerLabScheduler,
    SamplerLabAnnealingScheduler,
    SamplerLabSearchScheduler,
    SamplerLabKSamplerSigmas,
    *trajectory.NODES,
    SamplerLabPlotSigmas,
]
