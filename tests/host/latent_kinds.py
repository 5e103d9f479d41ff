"""Tiny models with random weights, one of each kind of latent, built by the host's own classes; for probes in the host.

The networks are the host's, of the smallest size that they allow; so are the latent formats, the model samplings, the
VAEs and everything around them. What is drawn is noise of a kind: what is tested is shapes, gradients and sentences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import comfy.model_management
import comfy.nested_tensor
import comfy.sd
import comfy.supported_models as supported
import torch
from comfy.ldm.wan.vae import WanVAE
from comfy.model_patcher import ModelPatcher
from comfy.taesd.taesd import TAESD

__all__ = ["KINDS", "Kind", "kind"]

UNET = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 32,
    "num_res_blocks": [1, 1],
    "channel_mult": [1, 2],
    "transformer_depth": [1, 1],
    "transformer_depth_output": [1, 1, 1, 1],
    "transformer_depth_middle": 1,
    "context_dim": 16,
    "use_spatial_transformer": True,
    "legacy": False,
}
MMDIT = {
    "in_channels": 16,
    "patch_size": 2,
    "depth": 1,
    "input_size": None,
    "adm_in_channels": 32,
    "context_embedder_config": {"target": "torch.nn.Linear", "params": {"in_features": 16, "out_features": 64}},
    "num_patches": 256,
    "pos_embed_max_size": 16,
    "pos_embed_scaling_factor": None,
    "qk_norm": "rms",
}
FLUX = {
    "image_model": "flux",
    "in_channels": 16,
    "out_channels": 16,
    "patch_size": 2,
    "vec_in_dim": 32,
    "context_in_dim": 16,
    "hidden_size": 64,
    "mlp_ratio": 2.0,
    "num_heads": 2,
    "depth": 1,
    "depth_single_blocks": 1,
    "axes_dim": [8, 12, 12],
    "theta": 10000,
    "qkv_bias": True,
    "guidance_embed": True,
    "txt_ids_dims": [],
}
QWEN = {
    "image_model": "qwen_image",
    "in_channels": 64,
    "num_layers": 1,
    "attention_head_dim": 32,
    "num_attention_heads": 2,
    "joint_attention_dim": 16,
    "axes_dims_rope": (8, 12, 12),
}
WAN = {
    "image_model": "wan2.1",
    "model_type": "t2v",
    "dim": 96,
    "ffn_dim": 64,
    "num_heads": 2,
    "num_layers": 1,
    "text_dim": 16,
    "in_dim": 16,
    "out_dim": 16,
    "patch_size": (1, 2, 2),
    "freq_dim": 32,
    "eps": 1e-6,
}
LTXAV = {
    "image_model": "ltxav",
    "cross_attention_dim": 64,
    "audio_cross_attention_dim": 32,
    "attention_head_dim": 32,
    "audio_attention_head_dim": 16,
    "num_attention_heads": 2,
    "audio_num_attention_heads": 2,
    "caption_channels": 16,
    "num_layers": 1,
    "connector_attention_head_dim": 8,
    "connector_num_attention_heads": 2,
    "connector_num_layers": 1,
}


@dataclass(frozen=True)
class Kind:
    """A model, its VAE (None where it makes no images), one token of each prompt, and its latents' shape."""

    model: ModelPatcher
    vae: comfy.sd.VAE | None
    positive: list[Any]
    negative: list[Any]
    shape: tuple[int, ...]  # of one item of 32x32 pixels, as the host samples it

    def latent(self, count: int) -> Any:
        """An empty batch as a node of the host would make it."""
        if self.vae is not None:
            return torch.zeros(count, *self.shape)
        parts = torch.zeros(count, 128, 2, 2, 2), torch.zeros(count, 8, 6, 16)  # video, and sound
        return comfy.nested_tensor.NestedTensor(parts)


def _randomised(module: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Small random weights, and norms that do nothing: the host's layers are made without any."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weights in module.named_parameters():
            scale = 1.0 if "norm" in name and name.endswith(("weight", "scale", "gamma")) else 0.0
            width = max(weights.numel() // max(len(weights), 1) if weights.ndim > 1 else 1, 16)
            weights.copy_(scale + torch.randn(weights.shape, generator=generator) * 0.7 / width**0.5)
    return module.eval().requires_grad_(False)


def _model(family: Any, unet_config: dict[str, Any]) -> ModelPatcher:
    """The host's own model of this family, with a smaller network."""
    config = family(unet_config)
    config.set_inference_dtype(torch.float32, None)
    model = _randomised(config.get_model({}), 1)
    device = comfy.model_management.get_torch_device()
    return ModelPatcher(model, load_device=device, offload_device=torch.device("cpu"))


def _vae(network: torch.nn.Module) -> comfy.sd.VAE:
    """What the host's VAE class makes of a file with these weights."""
    return comfy.sd.VAE(sd={name: weights.clone() for name, weights in _randomised(network, 2).state_dict().items()})


def _wan_vae() -> comfy.sd.VAE:
    return _vae(
        WanVAE(dim=8, z_dim=16, dim_mult=[1, 2, 4, 4], num_res_blocks=2, temperal_downsample=[False, True, True])
    )


def _prompt(seed: int, pooled: int, width: int = 16) -> list[Any]:
    generator = torch.Generator().manual_seed(seed)
    more = {"pooled_output": torch.randn(1, pooled, generator=generator)} if pooled else {}
    return [[torch.randn(1, 4, width, generator=generator), more]]


def kind(name: str) -> Kind:
    """One of :data:`KINDS`, made anew."""
    family, config, vae, pooled, shape = KINDS[name]
    width = 2 * config["caption_channels"] if "caption_channels" in config else 16
    made = None if vae is None else vae()
    return Kind(_model(family, config), made, _prompt(3, pooled, width), _prompt(4, pooled, width), shape)


#: Name -> the host's configuration, its network, the VAE, the width of the pooled prompt, the shape of a latent.
KINDS = {
    "sd15": (supported.SD15, UNET, lambda: _vae(TAESD(latent_channels=4)), 0, (4, 4, 4)),
    "sdxl": (
        supported.SDXL,
        UNET | {"num_classes": "sequential", "adm_in_channels": 2816, "model_channels": 64},
        lambda: _vae(TAESD(latent_channels=4)),
        1280,
        (4, 4, 4),
    ),
    "sd3": (supported.SD3, MMDIT, lambda: _vae(TAESD(latent_channels=16)), 32, (16, 4, 4)),
    "flux": (supported.Flux, FLUX, lambda: _vae(TAESD(latent_channels=16)), 32, (16, 4, 4)),
    "qwen_image": (supported.QwenImage, QWEN, _wan_vae, 0, (16, 1, 4, 4)),
    "wan": (supported.WAN21_T2V, WAN, _wan_vae, 0, (16, 1, 4, 4)),
    "ltxav": (supported.LTXAV, LTXAV, None, 0, ()),
}
