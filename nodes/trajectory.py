"""Nodes that space steps by a recorded run: the recorder, and the schedule."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..host.trajectory import Trajectory, recording
from ..schedulers.equal_error import FLOOR, equal_error
from .inputs import widget
from .sigmas import CATEGORY, STEPS, sigmas_output
from .types import TRAJECTORY

__all__ = ["NODES"]


class SamplerLabRecordTrajectory(io.ComfyNode):
    """SAMPLER and TRAJECTORY: the same sampler, recorded."""

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
    def execute(cls, sampler: Any) -> io.NodeOutput:
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
                widget(STEPS, default=8, tooltip="Steps of the new schedule."),
                widget(FLOOR, min=0.001),
            ],
            outputs=[sigmas_output()],
        )

    @classmethod
    def execute(
        cls,
        trajectory: Trajectory,
        latent: Any,  # noqa: ARG003 - its arrival makes the node wait for the sampling
        steps: int,
        **options: float,
    ) -> io.NodeOutput:
        return io.NodeOutput(equal_error(steps, *trajectory.levels(), **options))


NODES = [SamplerLabRecordTrajectory, SamplerLabEqualErrorScheduler]
