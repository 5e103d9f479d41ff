"""What nodes that make sigmas share."""

from __future__ import annotations

from comfy_api.latest import io

from ..diffusion.options import Option

__all__ = ["CATEGORY", "STEPS", "sigmas_output"]

CATEGORY = "sampler lab/schedulers"
STEPS = Option("steps", 20, "Steps that are taken.", minimum=1, maximum=10_000)


def sigmas_output() -> io.Output:
    """SIGMAS."""
    return io.Sigmas.Output(tooltip="For the sigmas input of SamplerCustomAdvanced.")
