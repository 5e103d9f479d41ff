"""A VAE's decoder with a gradient, inside a host that runs everything under ``torch.inference_mode``.

Two things stand in the way of a gradient. ``VAE.decode`` clamps, splits the batch and may tile, so the loaded module's
own ``decode`` is called. And weights that the host loaded under inference mode are inference tensors, which autograd
refuses to save, even outside inference mode; so the decoder runs on clones of them, made outside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.model_management
import torch

__all__ = ["DifferentiableDecoder"]

#: Activations that autograd keeps, relative to what the host reserves for a decode without gradient.
BACKWARD_MEMORY_FACTOR = 3.0


class _Decode(torch.nn.Module):
    """``functional_call`` runs ``forward``; an autoencoder's decoder is reached by ``decode``."""

    def __init__(self, first_stage_model: torch.nn.Module) -> None:
        super().__init__()
        self.first_stage_model = first_stage_model

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.first_stage_model.decode(z)


class DifferentiableDecoder:
    """Decode latents in the model's own scale to images in [-1, 1], with a gradient when one is enabled.

    Use as a context: entering it asks the host to load the VAE beside the model and clones the decoder's weights,
    leaving it drops the clones. So the clones live no longer than one sampling run.
    """

    def __init__(self, vae: Any, model_patcher: Any) -> None:
        """``vae``: the host's VAE. ``model_patcher``: the model being sampled, which must stay loaded beside it."""
        vae.throw_exception_if_invalid()
        self._vae = vae
        self._model_patcher = model_patcher
        self._latent_format = model_patcher.get_model_object("latent_format")
        self._to_signed = _signed_image(vae.process_output)
        self._weights: dict[str, torch.Tensor] = {}

    def load(self, particles: int, latent_shape: tuple[int, ...]) -> None:
        """Have the host make room for decoding ``particles`` latents of ``[c, h, w]`` forwards and backwards."""
        shape = (particles, *latent_shape)
        activations = BACKWARD_MEMORY_FACTOR * self._vae.memory_used_decode(shape, self._vae.vae_dtype)
        clones = self._vae.patcher.model_size()
        comfy.model_management.load_models_gpu(
            [self._model_patcher, self._vae.patcher], memory_required=activations + clones
        )
        decode = _Decode(self._vae.first_stage_model)
        with torch.inference_mode(False), torch.no_grad():
            self._weights = {
                name: tensor.clone()
                for name, tensor in [*decode.named_parameters(), *decode.named_buffers()]
                if not name.startswith(("first_stage_model.encoder.", "first_stage_model.quant_conv."))
            }
        self._decode = decode

    def release(self) -> None:
        """Drop the cloned weights."""
        self._weights = {}

    def __call__(self, z: torch.Tensor) -> torch.Tensor:
        """``[N, c, h, w]`` in the model's scale to ``[N, 3, H, W]`` in [-1, 1], not clamped."""
        latent = self._latent_format.process_out(z).to(device=self._vae.device, dtype=self._vae.vae_dtype)
        if torch.is_grad_enabled():
            image = torch.func.functional_call(self._decode, self._weights, (latent,))
        else:
            image = self._decode(latent)
        return self._to_signed(image.float()).to(z.device)


def _signed_image(process_output: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    """The affine map from a VAE's raw output to [-1, 1].

    ``process_output`` maps raw output to [0, 1] and clamps it, which would cut the gradient; two probes inside the
    range give its offset and slope, whatever convention the VAE has.
    """
    offset = float(process_output(torch.zeros(1)))
    slope = (float(process_output(torch.full((1,), 0.25))) - offset) / 0.25
    return lambda raw: 2 * (offset + slope * raw) - 1
