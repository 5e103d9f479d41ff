"""The inputs that say how items of a batch repel each other, wherever they do: in LatentDAPS and beside any sampler."""

from __future__ import annotations

from comfy_api.latest import io

from ..posterior.interaction.dino import PREPROCESSINGS
from ..posterior.interaction.repulsion import SCHEDULES

__all__ = ["micro_batch", "preprocessing", "schedule", "sigma_break"]


def sigma_break() -> io.Float.Input:
    return io.Float.Input(
        "sigma_break",
        default=0.3,
        min=1e-4,
        max=1000.0,
        step=0.01,
        round=False,
        tooltip="Noise level at which the repulsion has faded out, so that details are finished "
        "undisturbed. For flow models as well in the scale of the others: sigma/(1 - sigma).",
    )


def schedule() -> io.Combo.Input:
    return io.Combo.Input(
        "schedule",
        options=list(SCHEDULES),
        default="linear",
        optional=True,
        advanced=True,
        tooltip="How the strength fades, in the logarithm of sigma. cosine: stays high longer, then soft.",
    )


def preprocessing() -> io.Combo.Input:
    return io.Combo.Input(
        "preprocessing",
        options=list(PREPROCESSINGS),
        default="imagenet",
        optional=True,
        advanced=True,
        tooltip="What DINO sees. imagenet: as it was trained. rsd_compat: the decoder's output as it is, "
        "to repeat published runs.",
    )


def micro_batch(items: str) -> io.Int.Input:
    """``items``: what the node calls the members of its batch, as the first word of a sentence."""
    return io.Int.Input(
        "micro_batch",
        default=0,
        min=0,
        max=1024,
        optional=True,
        advanced=True,
        tooltip=f"{items} decoded at a time for pixel and dino. 0: all. Choose 1 when memory runs out; "
        "results do not change, each step decodes twice.",
    )
