"""A VAE's encoder in the model's own scale, for methods that encode pictures while they sample.

``VAE.encode`` would load the VAE anew at each call, and may unload the model that is being sampled; so the loaded
module's own ``encode`` is called, on what the VAE's ``process_input`` makes of the picture. No gradient passes through
it.
"""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["PictureEncoder"]


class PictureEncoder:
    """Encode images in [-1, 1] to latents in the model's own scale: its mean, as the host's VAE Encode has it.

    It works while ``host/decoder.py`` keeps the VAE loaded.
    """

    def __init__(self, vae: Any, latent_format: Any) -> None:
        """``vae``: the host's VAE. ``latent_format``: of the model that is sampled."""
        vae.throw_exception_if_invalid()
        self._vae, self._latent_format = vae, latent_format

    @property
    def dtype(self) -> torch.dtype:
        """The precision that the VAE computes in."""
        return self._vae.vae_dtype

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """``[N, 3, H, W]`` to ``[N, c, h, w]``, or ``[N, c, 1, h, w]`` where the model keeps its images as videos."""
        pixels = images.clamp(-1, 1) * 0.5 + 0.5
        if self._vae.latent_dim == 3 and pixels.ndim < 5:
            pixels = pixels.unsqueeze(2)
        pixels = self._vae.process_input(pixels).to(device=self._vae.device, dtype=self._vae.vae_dtype)
        encode = self._vae.first_stage_model.encode
        if getattr(self._vae.first_stage_model, "comfy_has_chunked_io", False):
            latent = encode(pixels, device=self._vae.device)
        else:
            latent = encode(pixels)
        return self._latent_format.process_in(latent.float()).to(images)
