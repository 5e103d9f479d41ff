"""Options that several samplers have."""

from __future__ import annotations

from ..diffusion.options import Option

__all__ = ["ETA", "S_NOISE"]

ETA = Option(
    "eta", 1.0, "How much of each step is fresh noise. 0 makes the sampler deterministic.", 0.0, 100.0, step=0.01
)
S_NOISE = Option("s_noise", 1.0, "Multiplies the fresh noise.", 0.0, 100.0, step=0.01)
