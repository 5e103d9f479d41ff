"""The pack's own socket types."""

from __future__ import annotations

from comfy_api.latest import io

__all__ = [
    "DATA_STEP",
    "ESTIMATE",
    "GUIDANCE",
    "MEASUREMENT",
    "MOVES",
    "OPERATOR",
    "REPULSION",
    "RUN",
    "RUNS",
    "TRAJECTORY",
]

#: A forward operator A: ``operators.Operator``.
OPERATOR = io.Custom("SAMPLERLAB_OPERATOR")
#: What was measured, with its operator: ``operators.Measurement``.
MEASUREMENT = io.Custom("SAMPLERLAB_MEASUREMENT")
#: The record of a sampling run: ``host.run_handle.RunHandle``.
RUN = io.Custom("SAMPLERLAB_RUN")
#: What a guider notes while it samples: ``instruments.guidance_record.GuidanceRecord``.
GUIDANCE = io.Custom("SAMPLERLAB_GUIDANCE")
#: Predictions along a run, with their sigmas: ``host.trajectory.Trajectory``.
TRAJECTORY = io.Custom("SAMPLERLAB_TRAJECTORY")
#: How particles repel each other: ``nodes.repulsion.RepulsionSettings``.
REPULSION = io.Custom("SAMPLERLAB_REPULSION")
#: What the measurement does at every noise level: a part of ``posterior.data_steps.catalogue``.
DATA_STEP = io.Custom("SAMPLERLAB_DATA_STEP")
#: How the clean estimate of a noise level is found: a part of ``posterior.estimates.catalogue``.
ESTIMATE = io.Custom("SAMPLERLAB_ESTIMATE")
#: What else happens to the particles: a tuple of parts of ``posterior.moves.catalogue``, in their order.
MOVES = io.Custom("SAMPLERLAB_MOVES")
#: Runs read back from disk: ``experiments.runs.Runs``.
RUNS = io.Custom("SAMPLERLAB_RUNS")
