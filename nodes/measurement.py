"""Nodes of the measurement: what an instrument records of an image, simulated, and how it looks."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io, ui

from ..host.notices import notify
from ..operators import PRESETS, Measurement, Operator, PhaseRetrieval
from ..operators.preview import preview
from .measurement_files import SamplerLabLoadMeasurement, SamplerLabSaveMeasurement
from .operator_inputs import operator_inputs
from .presets import shown_presets
from .types import MEASUREMENT, OPERATOR

CATEGORY = "sampler lab/measurement"
CUSTOM = "custom"
#: Of an image in its signal range no recorded value exceeds 1 on average (Parseval: the transform is orthonormal).
MOST_NOISE = 1.0
#: The inputs of Phase Retrieval after its preset: saved graphs hold their values in this order.
ORDER = ("oversample", "noise_sigma", "signal_range", "clip_negative", "kind", "noise", "channels")
#: What its number fields reach to (files and Python may go beyond), and what noise means on amplitudes.
CHANGES = {
    "oversample": {"max": 16.0},
    "noise_sigma": {
        "max": 100.0,
        "tooltip": "Standard deviation of the noise on each recorded value. 0.05 is usual and strong: most amplitudes "
        "are smaller. 0: no noise. Above 1 nothing would be left to see.",
    },
    "clip_negative": {
        "tooltip": "Noise can push small amplitudes below 0, which no instrument reports: set those to 0. Off: keep "
        "them, as published runs do.",
    },
}


class SamplerLabPhaseRetrieval(io.ComfyNode):
    """OPERATOR: the amplitudes of an image's Fourier transform."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabPhaseRetrieval",
            display_name="Phase Retrieval",
            category=CATEGORY,
            description="Describes a measurement in which an instrument records how strong each spatial frequency of "
            "the image is, but not its phase.",
            search_aliases=["fourier", "diffraction", "forward operator", "oversampling", "CDI", "inverse problem"],
            inputs=[
                io.Combo.Input(
                    "preset",
                    options=[CUSTOM, *PRESETS],
                    default=CUSTOM,
                    tooltip="daps and dps: as those papers measure, so that figures can be compared with theirs; "
                    "choosing one sets the inputs below. custom: the inputs below, as soon as one is changed by hand.",
                    extra_dict=shown_presets({name: _shown(preset) for name, preset in PRESETS.items()}, CUSTOM),
                ),
                *operator_inputs(PhaseRetrieval, ORDER, CHANGES),
            ],
            outputs=[OPERATOR.Output(display_name="operator", tooltip="For Measure or Load Measurement.")],
        )

    @classmethod
    def execute(cls, preset: str, **settings: Any) -> io.NodeOutput:
        if preset != CUSTOM:
            return io.NodeOutput(PRESETS[preset])
        if settings["noise_sigma"] > MOST_NOISE:
            raise ValueError(
                f"noise_sigma is {settings['noise_sigma']:g}, but even of a white image the recorded values are at "
                "most 1 on average, so nothing would be left to see; give 1 or less, usually 0.05."
            )
        return io.NodeOutput(PhaseRetrieval.from_dict(settings))


def _shown(preset: PhaseRetrieval) -> dict[str, object]:
    """What a preset sets among the node's inputs."""
    values = preset.to_dict()
    return {name: values[name] for name in ORDER}


class SamplerLabMeasure(io.ComfyNode):
    """MEASUREMENT: a simulated experiment on one image."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabMeasure",
            display_name="Measure",
            category=CATEGORY,
            description="Simulates the experiment: applies the operator to one image and adds noise.",
            search_aliases=["simulate measurement", "forward model", "observe", "degrade"],
            inputs=[
                OPERATOR.Input("operator", tooltip="What is recorded: from Phase Retrieval."),
                io.Image.Input(
                    "image", tooltip="One image, of the size that the model will make. Transparency is ignored."
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate="fixed",
                    tooltip="Seed of the noise. The same seed gives the same measurement on every machine.",
                ),
            ],
            outputs=[
                MEASUREMENT.Output(
                    display_name="measurement", tooltip="What was recorded, with its operator and its noise floor."
                )
            ],
        )

    @classmethod
    def execute(cls, operator: Operator, image: torch.Tensor, seed: int) -> io.NodeOutput:
        if image.ndim != 4 or image.shape[-1] not in (1, 3, 4):
            raise ValueError(f"image has shape {list(image.shape)}; it must be one picture [1, H, W, 3].")
        colours = image[..., :3].movedim(-1, 1)
        measurement = operator.measure(colours.expand(-1, 3, -1, -1).float() * 2 - 1, seed)
        if caution := operator.caution(measurement.image_shape):
            notify(caution)
        return io.NodeOutput(measurement)


class SamplerLabPreviewMeasurement(io.ComfyNode):
    """IMAGE: the recorded values as the operator shows them, a pattern's amplitudes on a logarithmic scale."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabPreviewMeasurement",
            display_name="Preview Measurement",
            category=CATEGORY,
            description="Shows a measurement: log amplitude, zero frequency in the middle, dead pixels in magenta.",
            search_aliases=["show measurement", "diffraction pattern", "spectrum", "log amplitude"],
            is_output_node=True,
            inputs=[
                MEASUREMENT.Input("measurement", tooltip="What to show."),
                io.Float.Input(
                    "decades",
                    default=3.0,
                    min=0.5,
                    max=12.0,
                    step=0.5,
                    tooltip="Range of brightness from black to white, in powers of ten below the largest amplitude. "
                    "Larger shows weaker amplitudes.",
                ),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The picture that the node shows.")],
        )

    @classmethod
    def execute(cls, measurement: Measurement, decades: float) -> io.NodeOutput:
        picture = preview(measurement, decades).movedim(1, -1).float().cpu()
        return io.NodeOutput(picture, ui=ui.PreviewImage(picture, cls=cls))


NODES = [
    SamplerLabPhaseRetrieval,
    SamplerLabMeasure,
    SamplerLabLoadMeasurement,
    SamplerLabSaveMeasurement,
    SamplerLabPreviewMeasurement,
]
