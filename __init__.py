"""Sampler Lab: posterior sampling, CFG++ samplers and the instruments to measure them, as ComfyUI nodes.

ComfyUI imports this folder as a package. Nothing heavy is imported until it asks for the extension, so the rooms can
also be imported one by one without ComfyUI (see ``lab.import_pack``).
"""

WEB_DIRECTORY = "./web"

__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]


async def comfy_entrypoint():
    """The pack's ``ComfyExtension``; ComfyUI calls this once at start."""
    from .nodes import SamplerLabExtension

    return SamplerLabExtension()
