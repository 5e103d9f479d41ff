"""Nodes of the measurement: what an instrument records of an image, simulated, and how it looks."""

from __future__ import annotations

from dataclasses import asdict

from comfy_api.latest import io, ui

from ..diffusion.sentence import Sentence
from ..host.notices import notify
from ..operators import PRESETS, Measurement, Operator, PhaseRetrieval
from ..operators.phase_retrieval import CHANNELS, KINDS, NOISES, SIGNAL_RANGES
from ..operators.preview import log_amplitude
from .measurement_files import SamplerLabLoadMeasurement, SamplerLabSaveMeasurement
from .presets import shown_presets
from .types import MEASUREMENT, OPERATOR

CATEGORY = "sampler lab/measurement"
CUSTOM = "custom"
#: Of an image in its signal range no recorded value exceeds 1 on average (Parseval: the transform is orthonormal).
MOST_NOISE = 1.0


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
                io.Float.Input(
                    "oversample",
                    default=2.0,
                    min=0.0,
                    max=16.0,
                    step=0.1,
                    tooltip="How much finer than the image the frequencies are sampled: int(oversample/8 · n) zeros "
                    "on each side of n pixels. 2 (1.5 samples per pixel) is usual; less makes the problem ambiguous, "
                    "more makes it easier.",
                ),
                io.Float.Input(
                    "noise_sigma",
                    default=0.05,
                    min=0.0,
                    max=100.0,
                    step=0.01,
                    round=False,
                    tooltip="Standard deviation of the noise on each recorded value. 0.05 is usual and strong: most "
                    "amplitudes are smaller. 0: no noise. Above 1 nothing would be left to see.",
                ),
                io.Combo.Input(
                    "signal_range",
                    options=list(SIGNAL_RANGES),
                    default="0..1",
                    tooltip="What black and white count as. -1..1 makes the signal twice as large at the same noise, "
                    "an easier problem, so never compare figures across the two.",
                ),
                io.Boolean.Input(
                    "clip_negative",
                    default=True,
                    tooltip="Noise can push small amplitudes below 0, which no instrument reports: set those to 0. "
                    "Off: keep them, as published runs do.",
                ),
                io.Combo.Input(
                    "kind",
                    options=list(KINDS),
                    default="amplitude",
                    tooltip="Whether values are amplitudes |F| or intensities |F|², and so what the noise is added to. "
                    "Use amplitude unless you have a reason: its noise is more even.",
                ),
                io.Combo.Input(
                    "noise",
                    options=list(NOISES),
                    default="gaussian",
                    optional=True,
                    advanced=True,
                    tooltip="gaussian: the same everywhere. poisson: photon counts, 1/(4 · noise_sigma²) per unit of "
                    "intensity (0.05 is 100 counts), the right one for photon-counting detectors.",
                ),
                io.Combo.Input(
                    "channels",
                    options=list(CHANNELS),
                    default="separate",
                    optional=True,
                    advanced=True,
                    tooltip="separate: red, green and blue are recorded one by one. mean: one recording of the grey "
                    "image, as a detector without colours makes it; colours then come from the model alone.",
                ),
            ],
            outputs=[OPERATOR.Output(display_name="operator", tooltip="For Measure or Load Measurement.")],
        )

    @classmethod
    def execute(
        cls,
        preset: str,
        oversample: float,
        noise_sigma: float,
        signal_range: str,
        clip_negative: bool,
        kind: str,
        noise: str = "gaussian",
        channels: str = "separate",
    ) -> io.NodeOutput:
        if preset != CUSTOM:
            return io.NodeOutput(PRESETS[preset])
        if noise_sigma > MOST_NOISE:
            raise ValueError(
                f"noise_sigma is {noise_sigma:g}, but even of a white image the recorded values are at most 1 on "
                "average, so nothing would be left to see; give 1 or less, usually 0.05."
            )
        return io.NodeOutput(
            PhaseRetrieval(oversample, noise_sigma, signal_range, clip_negative, kind, noise, channels)
        )


def _shown(preset: PhaseRetrieval) -> dict[str, object]:
    """What a preset sets among the node's inputs; the detector's size is none of them."""
    return {name: value for name, value in asdict(preset).items() if name != "detector"}


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
    def execute(cls, operator: Operator, image, seed: int) -> io.NodeOutput:
        if image.ndim != 4 or image.shape[-1] not in (1, 3, 4):
            raise ValueError(f"image has shape {list(image.shape)}; it must be one picture [1, H, W, 3].")
        colours = image[..., :3].movedim(-1, 1)
        measurement = operator.measure(colours.expand(-1, 3, -1, -1).float() * 2 - 1, seed)
        _tell_if_ambiguous(measurement)
        return io.NodeOutput(measurement)


def _tell_if_ambiguous(measurement: Measurement) -> None:
    """A notice when the recorded amplitudes of a real image are fewer equations than it has pixels.

    Friedel's law makes half of them repeat the other half, so it takes two a pixel.
    """
    (height, width), detector = measurement.image_shape, measurement.y.shape[-2:]
    samples = detector[0] * detector[1] / (height * width)
    if isinstance(measurement.operator, PhaseRetrieval) and samples < 2:
        notify(
            Sentence(
                "oversample {oversample} records {samples} values a pixel, and half of them repeat the other half, so "
                "many pictures explain this measurement equally well; set oversample to 2 in Phase Retrieval.",
                oversample=f"{measurement.operator.oversample:g}",
                samples=f"{samples:.3g}",
            )
        )


class SamplerLabPreviewMeasurement(io.ComfyNode):
    """IMAGE: the pattern's amplitudes on a logarithmic scale."""

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
        picture = log_amplitude(measurement, decades).movedim(1, -1).float().cpu()
        return io.NodeOutput(picture, ui=ui.PreviewImage(picture, cls=cls))


NODES = [
    SamplerLabPhaseRetrieval,
    SamplerLabMeasure,
    SamplerLabLoadMeasurement,
    SamplerLabSaveMeasurement,
    SamplerLabPreviewMeasurement,
]
