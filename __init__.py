"""Sampler Lab: posterior sampling, CFG++ samplers and the instruments to measure them, as ComfyUI nodes.

ComfyUI imports this folder as a package. Nothing heavy is imported until it asks for the extension, so the layers can
also be imported one by one without ComfyUI (see ``lab.import_pack``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .nodes import SamplerLabExtension

WEB_DIRECTORY = "./web"

__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]


async def comfy_entrypoint() -> SamplerLabExtension:
    """The pack's ``ComfyExtension``; ComfyUI calls this once at start."""
    from .nodes import SamplerLabExtension

    return SamplerLabExtension()
