r"""The likelihood of a latent under a measurement: :math:`\log p(y|z) = -\|A(\mathrm{dec}(z)) - y\|^2/\tau^2`.

Its gradient passes through the decoder, which is where more than 99 % of LatentDAPS's arithmetic goes; so this file
also counts the decoder's passes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import autocast

from ..instruments.record import RunRecord
from ..operators import Measurement

__all__ = ["PRECISIONS", "Decoder", "DecoderCalls", "Likelihood", "decoder_autocast", "weights_dtype"]

#: A latent ``[N, c, h, w]`` in the model's own scale to an image ``[N, C, H, W]`` in [-1, 1], differentiable.
Decoder = Callable[[torch.Tensor], torch.Tensor]


#: "auto": bfloat16 inside a single-precision decoder on processors that have it in hardware; "full": the decoder's own.
PRECISIONS = ("auto", "full")


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


def decoder_autocast(device: torch.device, precision: str, dtype: torch.dtype) -> AbstractContextManager:
    """The autocast context of a decoder pass on ``device``, with weights of ``dtype``.

    Only single-precision weights on processors are touched. On a GPU the precision of the loaded VAE is the host's
    decision, and weights that are half already (--fp16-vae) would meet bfloat16 inputs, which torch refuses. With
    hardware bfloat16 a pass forwards and backwards takes about half the time; without, it would be emulated and slower.
    """
    native = device.type == "cpu" and getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    if precision == "auto" and native and dtype == torch.float32:
        return autocast("cpu", torch.bfloat16)
    return nullcontext()  # an autocast that is switched off is still refused by some backends


@dataclass
class DecoderCalls:
    """Decoder passes so far, counted per particle: a batch of 4 decoded once is 4."""

    forward: int = 0
    backward: int = 0


@dataclass
class Likelihood:
    """The residual ||A(dec(z)) - y||² of every particle and its gradient with respect to the latent.

    measurement: what was measured; its one ``y`` serves all particles.
    decoder: from latents to images.
    micro_batch: particles decoded at a time; 0 decodes all at once. Smaller needs less memory, and is slower.
    precision: one of :data:`PRECISIONS`.
    calls: decoder passes so far.
    """

    measurement: Measurement
    decoder: Decoder
    micro_batch: int = 0
    precision: str = "auto"
    calls: DecoderCalls = field(default_factory=DecoderCalls)

    def report(self, record: RunRecord) -> None:
        """Hand the calls since the last report to ``record``, for the phase that is open there."""
        record.count(decoder_forward=self.calls.forward, decoder_backward=self.calls.backward)
        self.calls.forward = self.calls.backward = 0

    def residual(self, z: torch.Tensor) -> torch.Tensor:
        """||A(dec(z)) - y||² per particle, ``[N]``, without a gradient."""
        return self.look(z)[0]

    def look(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The residual per particle, ``[N]``, and the decoded images ``[N, C, H, W]``, without a gradient."""
        with torch.no_grad():
            images = [self._decode(chunk) for chunk in self._chunks(z)]
            residuals = [self.measurement.residual(image) for image in images]
        self.calls.forward += len(z)
        return torch.cat(residuals), torch.cat(images)

    def look_precisely(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As :meth:`look`, in the decoder's own precision: what whoever decodes the result will see."""
        return replace(self, precision="full").look(z)

    def residual_of_pictures(self, images: torch.Tensor) -> torch.Tensor:
        """``[N]``, of images ``[N, C, H, W]`` after they were clamped to [-1, 1], as saved pictures are."""
        with torch.no_grad():
            return torch.cat([self.measurement.residual(chunk.clamp(-1, 1)) for chunk in self._chunks(images)])

    def residual_and_gradient(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The residual ``[N]`` and its gradient, shaped and typed like ``z``.

        ComfyUI runs nodes under ``torch.inference_mode``; leaving it here (and copying ``z``, an inference tensor)
        makes autograd work. The decoder must bring weights that allow it: see ``host/decoder.py``.
        """
        residuals, gradients = [], []
        for chunk in self._chunks(z):
            with torch.inference_mode(False), torch.enable_grad():
                leaf = chunk.clone().requires_grad_(True)
                residual = self.measurement.residual(self._decode(leaf))
                # Rows do not mix, so the gradient of the sum is every particle's own gradient.
                (gradient,) = torch.autograd.grad(residual.sum(), leaf)
            residuals.append(residual.detach())
            gradients.append(gradient)
        self.calls.forward += len(z)
        self.calls.backward += len(z)
        return torch.cat(residuals), torch.cat(gradients)

    def _decode(self, z: torch.Tensor) -> torch.Tensor:
        with decoder_autocast(z.device, self.precision, weights_dtype(self.decoder)):
            image = self.decoder(z)
        return image.float()  # the measurement is compared in single precision

    def _chunks(self, z: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return z.split(self.micro_batch) if self.micro_batch > 0 else (z,)
