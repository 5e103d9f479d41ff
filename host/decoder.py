"""A VAE's decoder with a gradient, inside a host that runs everything under ``torch.inference_mode``.

Two things stand in the way of a gradient. ``VAE.decode`` clamps, splits the batch and may tile, so the loaded module's
own ``decode`` is called. And weights that the host loaded under inference mode are inference tensors, which autograd
refuses to save, even outside inference mode; so the decoder runs on clones of them, made outside it. (The constants of
a latent format are such tensors too.)
"""

from __future__ import annotations

import copy
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

    :meth:`load` asks the host to make room and clones the decoder's weights, :meth:`release` drops the clones. So they
    live no longer than one sampling run.
    """

    def __init__(self, vae: Any, model_patcher: Any) -> None:
        """``vae``: the host's VAE. ``model_patcher``: the model being sampled, which must stay loaded beside it."""
        vae.throw_exception_if_invalid()
        self._vae = vae
        self._model_patcher = model_patcher
        self._latent_format = _outside_inference(model_patcher.get_model_object("latent_format"))
        self._to_signed = _signed_image(vae.process_output)
        self._weights: dict[str, torch.Tensor] = {}

    @property
    def dtype(self) -> torch.dtype:
        """The precision that the VAE computes in, and the cloned weights are in."""
        return self._vae.vae_dtype

    def load(self, particles: int, latent_shape: tuple[int, ...]) -> None:
        """Have the host make room for decoding ``particles`` latents of ``[c, h, w]`` forwards and backwards.

        Raises:
            ValueError: the VAE decodes latents of another number of channels.
        """
        channels = getattr(self._vae, "latent_channels", latent_shape[0])
        if channels != latent_shape[0]:
            raise ValueError(
                f"the model's latents have {latent_shape[0]} channels, but this VAE decodes latents of {channels}; "
                "connect the VAE that belongs to the model."
            )
        # Loading unloads what it is not told of: ControlNets that take part in the sampling are named again.
        in_use = comfy.model_management.loaded_models(only_currently_used=True)
        comfy.model_management.load_models_gpu(
            [self._model_patcher, *(model for model in in_use if model is not None), self._vae.patcher],
            memory_required=self.memory_required(particles, latent_shape),
        )
        self._decode = _Decode(self._vae.first_stage_model)
        with torch.inference_mode(False), torch.no_grad():
            self._weights = {
                name: self._own(tensor)
                for name, tensor in [*self._decode.named_parameters(), *self._decode.named_buffers()]
                if not name.startswith(("first_stage_model.encoder.", "first_stage_model.quant_conv."))
            }

    def memory_required(self, particles: int, latent_shape: tuple[int, ...]) -> float:
        """Bytes that :meth:`load` asks for: activations forwards and backwards, and the cloned weights."""
        one = self._vae.memory_used_decode((1, *latent_shape), self._vae.vae_dtype)  # the host's is that of one latent
        return BACKWARD_MEMORY_FACTOR * particles * one + self._vae.patcher.model_size()

    def release(self) -> None:
        """Drop the cloned weights."""
        self._weights = {}

    def __call__(self, z: torch.Tensor) -> torch.Tensor:
        """``[N, c, h, w]`` in the model's scale to ``[N, 3, H, W]`` in [-1, 1], not clamped.

        Image models with a video VAE have latents ``[N, c, 1, h, w]``, which become ``[N, 3, H, W]`` as well.
        """
        latent = self._latent_format.process_out(z).to(device=self._vae.device, dtype=self._vae.vae_dtype)
        if latent.ndim == 5 and self._vae.latent_dim == 2:
            latent = latent[:, :, 0]  # as the host does for an image VAE on a model with latents of video's shape
        image = torch.func.functional_call(self._decode, self._weights, (latent,))
        if image.ndim == 5 and image.shape[2] == 1:
            image = image.squeeze(2)
        return self._to_signed(image.float()).to(z.device)

    def _own(self, tensor: torch.Tensor) -> torch.Tensor:
        """A clone where and as the VAE computes.

        With dynamic or low VRAM the module's weights stay in main memory, in the checkpoint's precision, and every call
        copies them into memory that the host may give to others before the backward pass. Clones that already are where
        the input is are taken as they are.
        """
        dtype = self._vae.vae_dtype if tensor.is_floating_point() else None
        return tensor.detach().to(device=self._vae.device, dtype=dtype, copy=True)


def _outside_inference(latent_format: Any) -> Any:
    """The same latent format with tensors that autograd may save; the host makes them under inference mode."""
    latent_format = copy.copy(latent_format)
    with torch.inference_mode(False):
        for name, value in vars(latent_format).items():
            if isinstance(value, torch.Tensor):
                setattr(latent_format, name, value.clone())
    return latent_format


def _signed_image(process_output: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    """The affine map from a VAE's raw output to [-1, 1].

    ``process_output`` maps raw output to [0, 1] and clamps it, which would cut the gradient; two probes inside the
    range give its offset and slope, whatever convention the VAE has.
    """
    offset = float(process_output(torch.zeros(1)))
    slope = (float(process_output(torch.full((1,), 0.25))) - offset) / 0.25
    return lambda raw: 2 * (offset + slope * raw) - 1
