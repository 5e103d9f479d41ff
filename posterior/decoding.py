"""From latents to images, in what precision and how many at a time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import autocast

from ..diffusion.options import Options, option

__all__ = ["MICRO_BATCH", "PRECISION", "PRECISIONS", "Decoder", "Decoding", "decoder_autocast", "weights_dtype"]

#: A latent ``[N, c, h, w]`` in the model's own scale to an image ``[N, C, H, W]`` in [-1, 1], differentiable.
Decoder = Callable[[torch.Tensor], torch.Tensor]

PRECISIONS = ("auto", "full")


@dataclass(frozen=True)
class Decoding(Options):
    """How latents are decoded; the results are the same but for rounding."""

    micro_batch: int = option(
        0,
        "Particles decoded or encoded at a time. 0: all. Choose 1 when memory runs out; results do not change.",
        minimum=0,
        maximum=1024,
        advanced=True,
    )
    precision: str = option(
        "auto",
        "Of the decoder inside the data step. auto: bfloat16 on processors that have it in hardware, about twice as "
        "fast; the daps_official presets are always full. full: the VAE's own. On a GPU both are the VAE's own.",
        choices=PRECISIONS,
        advanced=True,
    )

    def chunks(self, z: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """``z`` ``[N, ...]`` in pieces that are decoded together."""
        return z.split(self.micro_batch) if self.micro_batch > 0 else (z,)


#: The options, for other settings that have them.
MICRO_BATCH, PRECISION = Decoding.options()


def weights_dtype(decoder: Any) -> torch.dtype:
    """The precision that a decoder's weights are in; single if it is a function that does not say.

    A decoder says so by an attribute ``dtype``, or is a module; one with any half-precision weight counts as half.
    """
    declared = getattr(decoder, "dtype", None)
    if isinstance(declared, torch.dtype):
        return declared
    if isinstance(decoder, torch.nn.Module):
        kinds = {tensor.dtype for tensor in decoder.state_dict().values() if tensor.is_floating_point()}
        return next((kind for kind in kinds if kind != torch.float32), torch.float32)
    return torch.float32


def decoder_autocast(device: torch.device, precision: str, dtype: torch.dtype) -> AbstractContextManager[Any]:
    """The autocast context of a decoder pass on ``device``, with weights of ``dtype``.

    Only single-precision weights on processors are touched. On a GPU the precision of the loaded VAE is the host's
    decision, and weights that are half already (--fp16-vae) would meet bfloat16 inputs, which torch refuses. With
    hardware bfloat16 a pass forwards and backwards takes about half the time; without, it would be emulated and slower.
    """
    native = device.type == "cpu" and getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    if precision == "auto" and native and dtype == torch.float32:
        return autocast("cpu", torch.bfloat16)
    return nullcontext()  # an autocast that is switched off is still refused by some backends
