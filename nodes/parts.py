"""Nodes of the parts of a posterior sampler, made from their catalogues: data steps, estimates and moves.

Each gives settings to LatentDAPS Sampler and does nothing by itself. A node of a part whose numbers belong together has
a preset, which fills them in where they can be seen and changed (``web/preset_fill.js``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from comfy_api.latest import io

from ..posterior.data_steps.catalogue import DATA_STEPS
from ..posterior.data_steps.in_stages import InStages
from ..posterior.estimates.catalogue import ESTIMATES
from ..posterior.moves.catalogue import MOVES as MOVE_PARTS
from ..posterior.part import DataStep, Part
from ..samplers.methods import METHODS
from .inputs import widget, widgets
from .presets import shown_presets
from .types import DATA_STEP, ESTIMATE, MOVES

__all__ = ["CATEGORY", "NODES", "PRESET_TOOLTIP", "part_node"]

CATEGORY = "sampler lab/posterior"
CUSTOM = "custom"
PRESET_TOOLTIP = (
    "Numbers that work together; choosing one sets the inputs below. custom: the inputs below, as soon as one is "
    "changed by hand."
)


@dataclass(frozen=True)
class Socket:
    """A socket of LatentDAPS Sampler: its type, its name there, what its parts are called, and where presets have it.

    ending: of titles and ids of its parts' nodes. attribute: of a method, for presets; None for none.
    elsewhere: where else a part can be connected.
    """

    type: Any
    name: str
    ending: str
    attribute: str | None = None
    elsewhere: str = ""

    def presets(self, part: type[Part]) -> dict[str, Part]:
        """The settings that the catalogued methods have for this part; equal ones once, under their first name."""
        found: dict[str, Part] = {}
        for entry in METHODS:
            settings = getattr(entry.method, self.attribute) if self.attribute else None
            if type(settings) is part and settings not in found.values():
                found[entry.name] = settings
        return found


DATA_STEP_SOCKET = Socket(DATA_STEP, "data_step", "Data Step", "data_step", ", or for Two Stages")
ESTIMATE_SOCKET = Socket(ESTIMATE, "estimate", "Estimate", "estimate")
MOVES_SOCKET = Socket(MOVES, "moves", "", elsewhere=", or of the move that happens next")


def part_node(part: type[Part], socket: Socket) -> type[io.ComfyNode]:
    """The node of a part: its options, and its presets where it has any; a move can be connected after another."""
    presets = socket.presets(part)
    chained = socket is MOVES_SOCKET

    class PartNode(io.ComfyNode):
        @classmethod
        def define_schema(cls) -> io.Schema:
            return io.Schema(
                node_id=_node_id(part, socket),
                display_name=f"{part.title} {socket.ending}".rstrip(),
                category=CATEGORY,
                description=part.about,
                search_aliases=[*part.aliases],
                inputs=[*_preset_input(presets), *_widgets(part, presets), *([_moves_before()] if chained else [])],
                outputs=[
                    socket.type.Output(
                        display_name=socket.name,
                        tooltip=f"For the {socket.name} input of LatentDAPS Sampler{socket.elsewhere}.",
                    )
                ],
            )

        @classmethod
        def execute(cls, preset: str = CUSTOM, moves: tuple[Part, ...] = (), **values: Any) -> io.NodeOutput:
            settings = part(**values) if preset == CUSTOM else presets[preset]
            return io.NodeOutput((*moves, settings) if chained else settings)

    PartNode.__name__ = PartNode.__qualname__ = _node_id(part, socket)
    PartNode.__doc__ = f"{socket.name.upper()}: {part.title}."
    return PartNode


def _node_id(part: type[Part], socket: Socket) -> str:
    words = [*part.name.split("_"), *socket.ending.split()]
    return "SamplerLab" + "".join(word.capitalize() for word in words)


def _preset_input(presets: Mapping[str, Part]) -> list[io.Input]:
    if not presets:
        return []
    shown = shown_presets({name: _shown(settings) for name, settings in presets.items()}, CUSTOM)
    names = [CUSTOM, *presets]
    return [io.Combo.Input("preset", options=names, default=names[1], tooltip=PRESET_TOOLTIP, extra_dict=shown)]


def _widgets(part: type[Part], presets: Mapping[str, Part]) -> list[io.Input]:
    """One input per option; a fresh node has the first preset's numbers."""
    first = next(iter(presets.values()), None)
    inputs = []
    for option in part.options():
        changes = {} if first is None else {"default": getattr(first, option.name)}
        if option.advanced:
            changes["optional"] = True
        inputs.append(widget(option, **changes))
    return inputs


def _shown(settings: Part) -> dict[str, Any]:
    return {option.name: getattr(settings, option.name) for option in settings.options()}


def _moves_before() -> io.Input:
    return MOVES.Input(
        "moves",
        optional=True,
        tooltip="From another move, which then happens first. Left open: this one alone.",
    )


class SamplerLabTwoStagesDataStep(io.ComfyNode):
    """DATA_STEP: one above a noise level, another one below."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabTwoStagesDataStep",
            display_name="Two Stages Data Step",
            category=CATEGORY,
            description=InStages.about,
            search_aliases=["switch", "sequence", "combine", "recipe"],
            inputs=[
                DATA_STEP.Input("first", tooltip="The data step at large noise levels: what the picture is, roughly."),
                DATA_STEP.Input("then", tooltip="The data step at small noise levels: its details."),
                *widgets(InStages.options()),
            ],
            outputs=[
                DATA_STEP.Output(
                    display_name="data_step",
                    tooltip="For the data_step input of LatentDAPS Sampler, or of another Two Stages.",
                )
            ],
        )

    @classmethod
    def execute(cls, first: DataStep, then: DataStep, sigma: float) -> io.NodeOutput:
        return io.NodeOutput(InStages(sigma, first, then))


NODES: list[type[io.ComfyNode]] = [
    *(part_node(part, DATA_STEP_SOCKET) for part in DATA_STEPS),
    SamplerLabTwoStagesDataStep,
    *(part_node(part, ESTIMATE_SOCKET) for part in ESTIMATES),
    *(part_node(part, MOVES_SOCKET) for part in MOVE_PARTS),
]
