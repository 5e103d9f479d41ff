"""Nodes that look back: runs that were recorded, as tables and plots."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from comfy_api.latest import io, ui

from ..host.folders import output_folder
from ..instruments.plots.runs import PLOTS
from ..instruments.runs.differences import paired
from ..instruments.runs.reading import record_files
from ..instruments.runs.runs import Runs, load_runs
from ..instruments.runs.tables import summary
from .types import RUNS

CATEGORY = "sampler lab/experiments"
#: Sentences about what was left out that a node has room for; ``lab.py experiment report`` has all.
MOST_PROBLEMS = 10


class SamplerLabLoadRuns(io.ComfyNode):
    """RUNS, STRING: the runs recorded in a folder, and their summary."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabLoadRuns",
            display_name="Load Runs",
            category=CATEGORY,
            description="Reads every run that a posterior sampler or an experiment recorded (metrics.json) in a folder "
            "of the output folder, and sums them up: quality, success, time, calls, memory, differences between "
            "experiments.",
            search_aliases=["metrics", "experiment", "report", "table", "benchmark", "results"],
            is_output_node=True,
            inputs=[
                io.String.Input(
                    "folder",
                    default="sampler_lab",
                    tooltip="A folder in ComfyUI's output folder; folders in it are read as well. Experiments of "
                    "lab.py: copy or link their results there.",
                ),
                io.String.Input(
                    "after",
                    default="",
                    force_input=True,
                    optional=True,
                    tooltip="Anything that must finish first: connect the report of Compare To Reference, and "
                    "the run of this very prompt is read too.",
                ),
            ],
            outputs=[
                RUNS.Output(display_name="runs", tooltip="For Plot Runs."),
                io.String.Output(display_name="report", tooltip="The tables, in Markdown."),
            ],
        )

    @classmethod
    def execute(cls, folder: str, after: str = "") -> io.NodeOutput:  # noqa: ARG003 - its arrival makes it wait
        runs = load_runs([output_folder(folder)])
        tables = [table for table in (summary(runs), paired(runs)) if table.rows]
        left_out = [f"Left out: {problem}" for problem in runs.problems[:MOST_PROBLEMS]]
        if len(runs.problems) > MOST_PROBLEMS:
            left_out.append(f"Left out: {len(runs.problems) - MOST_PROBLEMS} more, for reasons of the same kind.")
        report = "\n\n".join([*runs.notes, *(table.to_markdown().strip() for table in tables), *left_out])
        return io.NodeOutput(runs, report, ui=ui.PreviewText(report))

    @classmethod
    def fingerprint_inputs(cls, folder: str = "", **_: Any) -> str:
        """Changes when a record appears or changes, so that the host does not show yesterday's."""
        stamps = "".join(f"{file}{_modified(file)}" for file in record_files(output_folder(folder)))
        return hashlib.sha256(stamps.encode()).hexdigest()


def _modified(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0  # it went since it was listed


class SamplerLabPlotRuns(io.ComfyNode):
    """IMAGE: a plot of runs."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabPlotRuns",
            display_name="Plot Runs",
            category=CATEGORY,
            description="Draws runs: quality per image, residual and distance per step, success rate, quality against "
            "work.",
            search_aliases=["graph", "chart", "plot", "metrics", "experiment"],
            inputs=[
                RUNS.Input("runs", tooltip="From Load Runs."),
                io.Combo.Input(
                    "plot",
                    options=list(PLOTS),
                    default="psnr",
                    tooltip="psnr: of every image's blind choice. residual: against the noise floor, per step. "
                    "distance: between particles, per step. success: rate with its interval. cost: quality against "
                    "decoder passes.",
                ),
                io.Int.Input(
                    "width",
                    default=900,
                    min=300,
                    max=4096,
                    step=10,
                    optional=True,
                    advanced=True,
                    tooltip="Of the picture, in pixels; letters grow with it.",
                ),
            ],
            outputs=[io.Image.Output(tooltip="For Preview Image or Save Image.")],
        )

    @classmethod
    def execute(cls, runs: Runs, plot: str, width: int = 900) -> io.NodeOutput:
        figure = PLOTS[plot](runs)
        figure.set_dpi(width / figure.get_figwidth())
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba(), dtype=np.float32)[..., :3] / 255
        return io.NodeOutput(torch.from_numpy(np.ascontiguousarray(pixels))[None])


NODES: list[type[io.ComfyNode]] = [SamplerLabLoadRuns, SamplerLabPlotRuns]
