"""Nodes for measurements in files: one's own detector data, and saved measurements."""

from __future__ import annotations

import logging
from typing import Any

from comfy_api.latest import io, ui

from ..host.cancel import raise_if_cancelled
from ..host.folders import files_with, find_file, next_output_file
from ..operators import Measurement, Operator, ReadOptions
from ..operators.files import EXTENSIONS, load_measurement, save_measurement
from .inputs import widget
from .types import MEASUREMENT, OPERATOR

CATEGORY = "sampler lab/measurement"


class SamplerLabLoadMeasurement(io.ComfyNode):
    """MEASUREMENT: from a file of one's own detector, or one that Save Measurement wrote."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        options = {each.name: each for each in ReadOptions.options()}

        def reading(name: str) -> io.Input:
            return widget(options[name], optional=True)

        return io.Schema(
            node_id="SamplerLabLoadMeasurement",
            display_name="Load Measurement",
            category=CATEGORY,
            description="Reads a measurement from a NumPy, MATLAB or HDF5 file in ComfyUI's input or output folder.",
            search_aliases=["npz", "npy", "mat", "matlab", "hdf5", "h5", "detector data", "diffraction pattern"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=files_with(EXTENSIONS),
                    tooltip="A .npz, .npy, .mat (any version) or .h5/.hdf5 file. Put it into ComfyUI's input folder "
                    "and press R; files in the output folder carry [output].",
                ),
                OPERATOR.Input(
                    "operator",
                    optional=True,
                    tooltip="How the data were recorded. Not needed for a file from Save Measurement, which knows; "
                    "connected, it replaces what the file says.",
                ),
                *map(reading, ("array", "values", "layout", "zero_frequency")),
                io.Float.Input(
                    "beam_row",
                    default=-1.0,
                    min=-1.0,
                    max=100_000.0,
                    step=1.0,
                    optional=True,
                    advanced=True,
                    tooltip="Row of the pattern's middle when it is not the detector's; the pattern is moved there and "
                    "the rows without data are masked. -1: the middle row.",
                ),
                io.Float.Input(
                    "beam_column",
                    default=-1.0,
                    min=-1.0,
                    max=100_000.0,
                    step=1.0,
                    optional=True,
                    advanced=True,
                    tooltip="The same for the column. -1: the middle column.",
                ),
                reading("scale"),
                io.Int.Input(
                    "image_width",
                    default=0,
                    min=0,
                    max=16_384,
                    optional=True,
                    tooltip="Width of the image to reconstruct, in pixels. 0: from the operator's oversampling.",
                ),
                io.Int.Input(
                    "image_height",
                    default=0,
                    min=0,
                    max=16_384,
                    optional=True,
                    tooltip="Height of the image to reconstruct, in pixels. 0: from the operator's oversampling.",
                ),
                *map(reading, ("mask_array", "mask_meaning", "nan_is_dead", "negative_is_dead")),
                io.Int.Input(
                    "frame",
                    default=-1,
                    min=-1,
                    max=10_000_000,
                    optional=True,
                    advanced=True,
                    tooltip="Which pattern of a stack to take (index along the first axis, from 0). -1: the array is "
                    "one pattern.",
                ),
                reading("estimate_noise"),
            ],
            outputs=[
                MEASUREMENT.Output(
                    display_name="measurement",
                    tooltip="The measurement, for Phase Retrieval Sampler, LatentDAPS Sampler or Preview Measurement.",
                ),
                io.Int.Output("width", tooltip="Width of the image to reconstruct, for the empty latent."),
                io.Int.Output("height", tooltip="Height of the image to reconstruct, for the empty latent."),
            ],
        )

    @classmethod
    def execute(cls, file: str, operator: Operator | None = None, **said: Any) -> io.NodeOutput:
        options = _read_options(**said)
        measurement = load_measurement(find_file(file), operator, options, raise_if_cancelled)
        height, width = measurement.image_shape
        logging.info(
            "[Sampler Lab] %s: %d valid values of %d×%d, image %d×%d, noise floor %.4g",
            *(file, measurement.count, *measurement.y.shape[-2:], height, width, measurement.noise_floor),
        )
        return io.NodeOutput(measurement, width, height)

    @classmethod
    def validate_inputs(cls, file: str = "") -> bool | str:
        # Named here, `file` may be newer than the editor's list. (With **kwargs the host would check no input at all.)
        try:
            find_file(file)
        except ValueError as problem:
            return str(problem)
        return True

    @classmethod
    def fingerprint_inputs(cls, file: str = "", **_: Any) -> str:
        path = find_file(file)
        parts = [
            part for part in (path, path.with_suffix(".json")) if part.is_file()
        ]  # .npy has its settings beside it
        return " ".join(f"{part.stat().st_mtime_ns} {part.stat().st_size}" for part in parts)


def _read_options(
    beam_row: float = -1.0,
    beam_column: float = -1.0,
    image_width: int = 0,
    image_height: int = 0,
    frame: int = -1,
    **said: Any,
) -> ReadOptions:
    """The node's inputs as options: its fields have a number for "not given", where the options have None."""
    if (image_width > 0) != (image_height > 0):
        raise ValueError("image_width and image_height must both be given, or both be 0.")
    return ReadOptions(
        beam=(None if beam_row < 0 else int(beam_row), None if beam_column < 0 else int(beam_column)),
        image_shape=(image_height, image_width) if image_width else None,
        frame=None if frame < 0 else frame,
        **said,
    )


class SamplerLabSaveMeasurement(io.ComfyNode):
    """Write a measurement with everything that belongs to it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabSaveMeasurement",
            display_name="Save Measurement",
            category=CATEGORY,
            description="Writes a measurement, its mask and its operator's settings to the output folder; Load "
            "Measurement restores all of it.",
            search_aliases=["export measurement", "npz", "npy", "mat", "matlab", "hdf5", "h5"],
            is_output_node=True,
            inputs=[
                MEASUREMENT.Input("measurement", tooltip="What to save."),
                io.String.Input(
                    "filename_prefix",
                    default="sampler_lab/measurement",
                    tooltip="Folder and name in ComfyUI's output folder; a number is added, so nothing is overwritten.",
                ),
                io.Combo.Input(
                    "format",
                    options=[extension.lstrip(".") for extension in (".npz", ".npy", ".mat", ".h5")],
                    default="npz",
                    tooltip="npz and npy for NumPy (npy: dead pixels become NaN, the settings go into a .json beside "
                    "it), mat for MATLAB, h5 for HDF5.",
                ),
            ],
            outputs=[io.String.Output("file", tooltip="Name of the file written, relative to the output folder.")],
        )

    @classmethod
    def execute(cls, measurement: Measurement, filename_prefix: str, format: str) -> io.NodeOutput:
        path, name = next_output_file(filename_prefix, f".{format}")
        save_measurement(measurement, path)
        return io.NodeOutput(name, ui=ui.PreviewText(f"saved {name}"))
