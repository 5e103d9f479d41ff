"""Latents in the shapes that the host's VAEs use, and what is wrong with one that does not fit a measurement.

A measurement is of one image, so the latents must be single images: ``[N, c, h, w]``, or ``[N, c, 1, h, w]`` where a
model keeps its images as videos of one frame (Wan's format: Qwen-Image, Anima, Krea 2, Cosmos-Predict2). A model of
video with sound has latents of several parts: nested for a guider, packed to ``[N, 1, values]`` for a sampler.
"""

from __future__ import annotations

from typing import Any

import comfy.latent_formats
import comfy.model_management
import torch

__all__ = ["IMAGE_MULTIPLE", "check_latent", "check_single_images", "empty_latent"]

#: Attribute of a VAE whose model needs sides that are multiples of more than the VAE's own factor.
IMAGE_MULTIPLE = "sampler_lab_image_multiple"


def empty_latent(vae: Any, image_shape: tuple[int, int], count: int) -> torch.Tensor:
    """Zeros ``[count, channels, H / f, W / f]`` that ``vae`` decodes to images of ``image_shape`` = (H, W).

    Raises:
        ValueError: the VAE makes no images of this size, or none at all.
    """
    if getattr(vae, "latent_dim", 2) == 1:
        raise ValueError("this VAE makes sound, not images; connect the VAE that belongs to the image model.")
    factor = vae.spacial_compression_decode()
    multiple = getattr(vae, IMAGE_MULTIPLE, factor)
    height, width = image_shape
    if height % multiple or width % multiple:
        fitting = [-(-side // multiple) * multiple for side in image_shape]
        raise ValueError(
            f"the measured image is {width}×{height}, but this VAE's images have sides that are multiples of "
            f"{multiple}; resize or pad the picture to {fitting[1]}×{fitting[0]} before Measure (for a measurement "
            f"from a file, set image_width {fitting[1]} and image_height {fitting[0]} in Load Measurement)."
        )
    shape = (count, vae.latent_channels, height // factor, width // factor)
    return torch.zeros(shape, device=comfy.model_management.intermediate_device())


def check_latent(vae: Any, latent_format: Any, latent: Any, image_shape: tuple[int, int]) -> None:
    """Raise a ``ValueError`` unless ``vae`` decodes ``latent`` to images of ``image_shape`` = (H, W).

    Args:
        vae: the host's VAE.
        latent_format: of the model that samples.
        latent: what is sampled, as a guider or a sampler of the host is given it.
    """
    check_single_images(latent, latent_format)
    _check_vae(vae, latent_format, latent.shape[1])
    factor = vae.spacial_compression_decode()
    height, width = (side * factor for side in latent.shape[-2:])
    if (height, width) != tuple(image_shape):
        _check_factor(factor, getattr(latent_format, "spacial_downscale_ratio", None))
        raise ValueError(
            f"the latent decodes to {width}×{height}, but the measurement is of an image of "
            f"{image_shape[1]}×{image_shape[0]}; take the latent from the Particles node, with the same VAE and "
            "measurement as here."
        )


def check_single_images(latent: Any, latent_format: Any) -> None:
    """Raise a ``ValueError`` when ``latent`` is anything but a batch of single images."""
    remedy = "only single images can be decoded here; use an image model"
    if getattr(latent, "is_nested", False) or (latent.ndim == 3 and latent_format.latent_dimensions > 1):
        raise ValueError(f"the latent holds several parts in one, such as a video and its sound, but {remedy}.")
    if latent.ndim == 5 and latent.shape[2] != 1:
        raise ValueError(
            f"the latent is a video of {latent.shape[2]} frames, but only single images can be decoded here; "
            "make it one frame long (length 1), or take it from the Particles node."
        )
    if latent.ndim not in (4, 5):
        raise ValueError(f"the latent has shape {list(latent.shape)}, as sound has it, but {remedy}.")


def _check_vae(vae: Any, latent_format: Any, channels: int) -> None:
    """Raise a ``ValueError`` when this cannot be the model's VAE."""
    own_channels, factor = getattr(vae, "latent_channels", channels), vae.spacial_compression_decode()
    if own_channels != channels:
        raise ValueError(
            f"the model's latents have {channels} channels, but this VAE decodes latents of {own_channels}; "
            "connect the VAE that belongs to the model."
        )
    _check_factor(factor, _stated_factor(latent_format))


def _check_factor(factor: int, expected: int | None) -> None:
    if expected is not None and expected != factor:
        raise ValueError(
            f"the model's latents are {expected} times smaller than the image, but this VAE's are {factor} times "
            "smaller; connect the VAE that belongs to the model."
        )


def _stated_factor(latent_format: Any) -> int | None:
    """How much smaller than the image the model's latents are, when its format says so itself.

    The base class has 8, which formats inherit whether it is true of them or not: good enough to explain why a size
    does not fit, not to refuse one that does.
    """
    for kind in type(latent_format).__mro__:
        if kind is not comfy.latent_formats.LatentFormat and "spacial_downscale_ratio" in vars(kind):
            return vars(kind)["spacial_downscale_ratio"]
    return None
