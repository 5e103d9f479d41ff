"""Emoji-64 as the host's own MODEL and VAE.

MODEL is a ``ModelPatcher`` around a subclass of the host's ``BaseModel`` with a subclass of its model configuration, so
that everything stock (KSampler, SamplerCustomAdvanced, schedulers, previews, CFG, masks, hooks, memory management) does
with it what it does with a checkpoint. The denoiser is seen in one of two parameterizations:

``edm``   ModelType.EDM with sigma_data = 1. The host divides x by sqrt(sigma^2 + 1), passes log(sigma)/4 as the time
          and combines c_skip x + c_out F: exactly the network's own preconditioning, so F is called as it is.
``flow``  ModelType.FLOW, x_t = (1 - t) x0 + t noise, t in [0, 1]. The same denoiser through x_t/(1 - t), t/(1 - t),
          and the velocity v = (x_t - D)/t, from which the host forms D = x_t - t v. At t = 1 the sigma of the network
          would be infinite; it is capped at 80 (t = 80/81), where D is the mean of the data in any case.

A condition is a ``[1, 1, 12]`` vector of class weights in the cross-attention slot (see ``priors/classes.py``). The
network embeds the weighted mix and gives the mass that is missing from 1 to the null class. So the stock nodes keep
their meaning: ConditioningAverage interpolates classes, ConditioningZeroOut is the unconditional model, and several
tokens (ConditioningConcat, or the host's padding by repetition) are averaged.

LATENT holds the autoencoder's raw latents, as everywhere in the host; ``EmojiLatentFormat`` standardises them.

VAE is the host's ``VAE`` class. Its constructor recognises networks by their keys and has one door for a caller's own
configuration: an ``AutoencoderKL``. A very small one is passed through that door, which sets every attribute that this
version of the host knows, and the Emoji-64 autoencoder then takes its place, with a patcher of its own.
"""

from __future__ import annotations

import functools
from typing import Any, ClassVar

import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.sd
import comfy.supported_models_base
import torch
from comfy.ldm.models.autoencoder import AutoencoderKL
from torch import Tensor, nn

from ..priors.autoencoder import FACTOR, LATENT_CHANNELS
from ..priors.classes import CLASSES, class_weights
from ..priors.loader import EmojiPrior, load_emoji_prior
from ..priors.unet import Denoiser, UNet
from .latents import IMAGE_MULTIPLE as VAE_IMAGE_MULTIPLE

__all__ = ["PARAMETERIZATIONS", "EmojiLatentFormat", "EmojiModel", "emoji_conditioning", "emoji_model", "emoji_vae"]

PARAMETERIZATIONS = {"edm": comfy.model_base.ModelType.EDM, "flow": comfy.model_base.ModelType.FLOW}

# Least squares from standardised latents to 4x4-averaged pixels in [-1, 1] on 4,000 training pictures, R^2 = 0.96.
_RGB_FACTORS = [
    [0.4153, 0.1308, -0.0523],
    [-0.2458, -0.1268, -0.4338],
    [-0.0709, -0.0247, 0.1354],
    [-0.0031, -0.3823, -0.0796],
]
_RGB_BIAS = [0.2264, 0.1764, 0.1313]

# Measured peaks of a forward pass in single precision, in bytes, rounded up.
_DECODE_BYTES_PER_PIXEL = 400
_ENCODE_BYTES_PER_PIXEL = 300
_MEMORY_USAGE_FACTOR = 0.12  # 4.6 kB per latent position and item; the host counts 0.04 to 0.15 MiB for 1

#: The U-Net halves a latent twice.
IMAGE_MULTIPLE = 4 * FACTOR

_SMALLEST_SIGMA = 1e-5  # the logarithm of zero is never asked for


class EmojiLatentFormat(comfy.latent_formats.LatentFormat):
    """Raw latent <-> standardised latent, (raw - mean) / std per channel; previews by a linear map to RGB."""

    latent_channels = LATENT_CHANNELS
    spacial_downscale_ratio = FACTOR

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        """``mean`` and ``std`` are ``[1, 4, 1, 1]``."""
        self.latents_mean = mean
        self.latents_std = std
        self.latent_rgb_factors = _RGB_FACTORS
        self.latent_rgb_factors_bias = _RGB_BIAS

    def process_in(self, latent: Tensor) -> Tensor:
        return (latent - self.latents_mean.to(latent)) / self.latents_std.to(latent)

    def process_out(self, latent: Tensor) -> Tensor:
        return latent * self.latents_std.to(latent) + self.latents_mean.to(latent)


class _Network(nn.Module):
    """The diffusion model as the host calls it: input, time, class weights as context.

    Inputs are checked here and not in the U-Net, because only the host can bring a wrong one.
    """

    def __init__(
        self, device: Any = None, dtype: torch.dtype = torch.float32, operations: Any = nn, **_unused: Any
    ) -> None:
        """``operations``: the host's layers. ``_unused``: the configuration's further entries, for larger networks."""
        super().__init__()
        self.dtype = dtype
        self.unet = UNet(operations=operations).to(device=device, dtype=dtype)

    def forward(
        self, x: Tensor, timesteps: Tensor, context: Tensor | None = None, control: Any = None, **_unused: Any
    ) -> Tensor:
        if control is not None:
            raise ValueError("Emoji-64 has no ControlNets: remove Apply ControlNet from the conditioning.")
        _check_sides(x)
        return self.predict(x, timesteps, _weights(context, x))

    def predict(self, x: Tensor, c_noise: Tensor, weights: Tensor) -> Tensor:
        """EDM: the host's scaled input and time are those of the network."""
        return self.unet(x, c_noise, weights)


class _FlowNetwork(_Network):
    """The velocity of the flow that the same denoiser defines."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.denoiser = Denoiser(self.unet)

    def predict(self, x: Tensor, t: Tensor, weights: Tensor) -> Tensor:
        t_max = Denoiser.sigma_max / (1 + Denoiser.sigma_max)
        capped = t.clamp(_SMALLEST_SIGMA, t_max)
        sigma = capped / (1 - capped)
        scale = (1 - capped).reshape(-1, 1, 1, 1)
        denoised = self.denoiser(x / scale, sigma, weights)
        return (x - denoised) / t.clamp_min(_SMALLEST_SIGMA).reshape(-1, 1, 1, 1)


class EmojiModel(comfy.model_base.BaseModel):
    """The host's base model with an Emoji-64 network in it."""

    def __init__(self, model_config: Any, model_type: Any, device: Any = None) -> None:
        network = _FlowNetwork if model_type == comfy.model_base.ModelType.FLOW else _Network
        super().__init__(model_config, model_type, device=device, unet_model=network)

    def extra_conds(self, **kwargs: Any) -> dict[str, Any]:
        """Checked here as well as in the network: this runs once, before the first step."""
        context = kwargs.get("cross_attn")
        if context is not None:
            _check_context(context)
        return super().extra_conds(**kwargs)


class EmojiModelConfig(comfy.supported_models_base.BASE):
    """What the host asks a model's configuration: single precision, shift 1, times in [0, 1]."""

    unet_extra_config: ClassVar[dict[str, Any]] = {}
    sampling_settings: ClassVar[dict[str, Any]] = {
        "sigma_min": Denoiser.sigma_min,
        "sigma_max": Denoiser.sigma_max,
        "sigma_data": Denoiser.sigma_data,
        "shift": 1.0,
        "multiplier": 1,
    }
    supported_inference_dtypes: ClassVar[list[torch.dtype]] = [torch.float32]
    memory_usage_factor = _MEMORY_USAGE_FACTOR

    def __init__(self, prior: EmojiPrior) -> None:
        mean, std = prior.mean, prior.std
        self.latent_format = functools.partial(EmojiLatentFormat, mean, std)  # the base class calls it
        super().__init__({"in_channels": LATENT_CHANNELS, "out_channels": LATENT_CHANNELS, "model_channels": 64})
        self.set_inference_dtype(torch.float32, None)


@functools.cache
def emoji_model(parameterization: str = "edm") -> comfy.model_patcher.ModelPatcher:
    """MODEL, read from disk once per parameterization; clone it before patching, as the host's nodes do.

    Raises ValueError for a parameterization other than ``edm`` and ``flow``.
    """
    if parameterization not in PARAMETERIZATIONS:
        raise ValueError(f"parameterization {parameterization!r} is unknown: choose edm or flow.")
    offload_device = comfy.model_management.unet_offload_device()
    # Weights made under the executor's inference mode could never carry a gradient.
    with torch.inference_mode(False):
        prior = load_emoji_prior()
        model = EmojiModel(EmojiModelConfig(prior), PARAMETERIZATIONS[parameterization], device=offload_device)
        model.diffusion_model.unet.load_state_dict(prior.denoiser.network.state_dict())
        model.eval().requires_grad_(False)
    return comfy.model_patcher.ModelPatcher(
        model, load_device=comfy.model_management.get_torch_device(), offload_device=offload_device
    )


@functools.cache
def emoji_vae() -> comfy.sd.VAE:
    """VAE, read from disk once."""
    with torch.inference_mode(False):
        params = _smallest_autoencoder_kl()
        vae = comfy.sd.VAE(sd=AutoencoderKL(**params).state_dict(), config={"params": params})
        dtype = comfy.model_management.vae_dtype(vae.device, [torch.float32])
        vae.first_stage_model = load_emoji_prior(dtype=dtype, operations=comfy.ops.disable_weight_init).autoencoder
    vae.vae_dtype = dtype
    vae.working_dtypes = [torch.float32]
    vae.downscale_ratio = vae.upscale_ratio = FACTOR
    vae.latent_channels = LATENT_CHANNELS
    setattr(vae, VAE_IMAGE_MULTIPLE, IMAGE_MULTIPLE)  # no other model has this VAE
    vae.memory_used_decode = _memory(_DECODE_BYTES_PER_PIXEL * FACTOR**2)
    vae.memory_used_encode = _memory(_ENCODE_BYTES_PER_PIXEL)
    vae.disable_offload = True  # 4 MB: loaded whole or not at all
    vae.patcher = comfy.model_patcher.ModelPatcher(
        vae.first_stage_model,
        load_device=vae.device,
        offload_device=comfy.model_management.vae_offload_device(),
    )
    vae.size = None
    vae.model_size()
    return vae


def emoji_conditioning(class_name: str) -> list[list[Any]]:
    """CONDITIONING of a class or "none". Raises ValueError for an unknown class."""
    return [[class_weights(class_name).reshape(1, 1, len(CLASSES)), {}]]


def _check_sides(x: Tensor) -> None:
    """Raise a ``ValueError`` unless ``x`` is a batch of single images of sides that the U-Net can halve twice."""
    if x.ndim != 4:
        raise ValueError(f"Emoji-64 makes single images, not latents of shape {list(x.shape)}: use Empty Latent Image.")
    sides = [FACTOR * side for side in x.shape[2:]]
    if any(side % IMAGE_MULTIPLE for side in sides):
        size, fitting = (
            " x ".join(map(str, each))
            for each in (sides, [-(-side // IMAGE_MULTIPLE) * IMAGE_MULTIPLE for side in sides])
        )
        raise ValueError(
            f"Emoji-64 makes images whose sides are multiples of {IMAGE_MULTIPLE}, not {size}: resize the picture to "
            f"a multiple of {IMAGE_MULTIPLE}, for example to {fitting}, or give the empty latent that size."
        )


def _check_context(context: Tensor) -> None:
    if context.ndim != 3 or context.shape[-1] != len(CLASSES):
        raise ValueError(
            f"Emoji-64 is conditioned by {len(CLASSES)} class weights, but this conditioning has shape "
            f"{list(context.shape)}: connect Emoji Prompt instead of a text prompt."
        )


def _weights(context: Tensor | None, x: Tensor) -> Tensor:
    """Class weights ``[N, 12]`` of a context ``[N, tokens, 12]``; no context is the null class."""
    if context is None:
        return x.new_zeros(x.shape[0], len(CLASSES))
    _check_context(context)
    return context.mean(dim=1)


def _memory(bytes_per_position: int) -> Any:
    """The host's memory estimate: bytes for one item of a shape ``[N, c, h, w]`` at a precision."""

    def estimate(shape: tuple[int, ...], dtype: torch.dtype) -> float:
        share_of_single = comfy.model_management.dtype_size(dtype) / 4
        return bytes_per_position * shape[2] * shape[3] * share_of_single

    return estimate


def _smallest_autoencoder_kl() -> dict[str, Any]:
    side = {"double_z": True, "z_channels": LATENT_CHANNELS, "resolution": 32, "in_channels": 3, "out_ch": 3, "ch": 32}
    rest = {"ch_mult": [1], "num_res_blocks": 1, "attn_resolutions": [], "dropout": 0.0}
    return {"embed_dim": LATENT_CHANNELS, "ddconfig": side | rest}
