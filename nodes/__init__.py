"""The pack's nodes. A node declares its inputs, checks them and calls one thing of the layers below; no maths here."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from ..host.registration import register
from . import (
    experiments,
    guiders,
    latent_daps,
    measurement,
    parts,
    phase_retrieval,
    prior,
    quality,
    repulsion,
    samplers,
    schedulers,
)
from .checked import checked

__all__ = ["SamplerLabExtension"]

TOPICS = (
    prior,
    measurement,
    phase_retrieval,
    latent_daps,
    parts,
    repulsion,
    quality,
    samplers,
    schedulers,
    guiders,
    experiments,
)


class SamplerLabExtension(ComfyExtension):
    """What ComfyUI asks for the pack's nodes."""

    async def on_load(self) -> None:
        """Once, before the nodes: our samplers and schedulers in the host's dropdowns."""
        register()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Every node, in the order of the help pages."""
        return [checked(node) for topic in TOPICS for node in topic.NODES]
