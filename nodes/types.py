"""The pack's own socket types."""

from __future__ import annotations

from comfy_api.latest import io

__all__ = [
    "GUIDANCE",
    "HARD_CONSISTENCY",
    "MEASUREMENT",
    "OPERATOR",
    "PRUNING",
    "REPULSION",
    "RUN",
    "RUNS",
    "TRAJECTORY",
]

#: A forward operator A: ``operators.Operator``.
OPERATOR = io.Custom("SAMPLERLAB_OPERATOR")
#: What was measured, with its operator: ``operators.Measurement``.
MEASUREMENT = io.Custom("SAMPLERLAB_MEASUREMENT")
#: The record of a sampling run: ``host.latent_daps.RunHandle``.
RUN = io.Custom("SAMPLERLAB_RUN")
#: What a guider notes while it samples: ``guiders.record.GuidanceRecord``.
GUIDANCE = io.Custom("SAMPLERLAB_GUIDANCE")
#: Predictions along a run, with their sigmas: ``host.trajectory.Trajectory``.
TRAJECTORY = io.Custom("SAMPLERLAB_TRAJECTORY")
#: How particles repel each other: ``nodes.search.Repulsion``.
REPULSION = io.Custom("SAMPLERLAB_REPULSION")
#: When and how particles are pruned: ``posterior.pruning.PruningOptions``.
PRUNING = io.Custom("SAMPLERLAB_PRUNING")
#: How particles are held to the measurement: ``posterior.hard_consistency.HardConsistencyOptions``.
HARD_CONSISTENCY = io.Custom("SAMPLERLAB_HARD_CONSISTENCY")
#: Runs read back from disk: ``experiments.runs.Runs``.
RUNS = io.Custom("SAMPLERLAB_RUNS")
