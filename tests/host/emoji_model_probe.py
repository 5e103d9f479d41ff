"""Run by test_emoji_prior.py in a process of its own, inside the ComfyUI folder: writes measurements as JSON.

A process of its own, because importing ComfyUI changes much of an interpreter (arguments, logging, memory management).
"""

import json
import sys

import torch
from inside_host import enter_host, sentence

enter_host()

import comfy.model_management  # noqa: E402
import comfy.sd  # noqa: E402
import latent_preview  # noqa: E402
from comfy.model_patcher import ModelPatcher  # noqa: E402
from sampler_lab.host.emoji_prior import emoji_conditioning, emoji_model, emoji_vae  # noqa: E402
from sampler_lab.priors.held_out import load_glyph  # noqa: E402
from sampler_lab.priors.loader import load_emoji_prior  # noqa: E402

import nodes  # noqa: E402


@torch.inference_mode()
def measure() -> dict:
    device = comfy.model_management.get_torch_device()
    prior = load_emoji_prior(device=device)
    edm, flow, vae = emoji_model("edm"), emoji_model("flow"), emoji_vae()
    comfy.model_management.load_models_gpu([edm, flow])
    generator = torch.Generator().manual_seed(0)
    picture = load_glyph("donkey")
    clean = prior.encode(picture.to(device)).repeat(3, 1, 1, 1)
    animal, none = emoji_conditioning("animal"), emoji_conditioning("none")
    context = animal[0][0].to(device).repeat(3, 1, 1)

    differences = {}
    for sigma in (0.002, 0.05, 0.5, 2.0, 10.0, 79.0):
        x = clean + sigma * torch.randn(clean.shape, generator=generator).to(device)
        levels = torch.full((3,), sigma, device=device)
        by_torch = prior.denoiser(x, sigma, context[:, 0])
        by_edm = edm.model.apply_model(x, levels, c_crossattn=context)
        by_flow = flow.model.apply_model(x / (1 + sigma), levels / (1 + levels), c_crossattn=context)
        differences[sigma] = [(by_edm - by_flow).abs().max().item(), (by_edm - by_torch).abs().max().item()]

    noise = torch.randn(clean.shape, generator=generator).to(device)
    at_one = flow.model.apply_model(noise, torch.ones(3, device=device), c_crossattn=context)

    one = torch.ones(1, device=device)

    def conditioned(model, condition):
        return model.model.apply_model(clean[:1] + 3 * noise[:1], 3 * one, c_crossattn=condition.to(device))

    plant = emoji_conditioning("plant")
    mixed = nodes.ConditioningAverage().addWeighted(animal, none, 0.25)[0][0][0]
    both = nodes.ConditioningConcat().concat(animal, plant)[0][0][0]
    half = nodes.ConditioningAverage().addWeighted(animal, plant, 0.5)[0][0][0]
    zero = nodes.ConditioningZeroOut().zero_out(animal)[0][0][0]
    free = edm.model.apply_model(clean[:1] + 3 * noise[:1], 3 * one)
    conditions = {
        "average with none": (mixed - 0.25 * animal[0][0]).abs().max().item(),
        "concatenation is half and half": (conditioned(edm, both) - conditioned(edm, half)).abs().max().item(),
        "zeroed out is unconditional": (conditioned(edm, zero) - free).abs().max().item(),
        "animal is not unconditional": (conditioned(edm, animal[0][0]) - free).abs().max().item(),
    }

    image = (picture.movedim(1, -1) + 1) / 2
    latent = vae.encode(image)
    decoded = vae.decode(latent)
    previewer = latent_preview.Latent2RGBPreviewer(
        edm.model.latent_format.latent_rgb_factors, edm.model.latent_format.latent_rgb_factors_bias
    )
    preview = torch.tensor(list(previewer.decode_latent_to_preview(clean).tobytes())).float().reshape(16, 16, 3)
    small = torch.nn.functional.avg_pool2d(picture, 4)[0].permute(1, 2, 0)
    with torch.inference_mode(False):
        leaf = torch.zeros(1, 4, 16, 16, device=vae.device, dtype=vae.vae_dtype, requires_grad=True)
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(vae.first_stage_model.decode(leaf).sum(), leaf)
    return {
        "types": [isinstance(edm, ModelPatcher), isinstance(flow, ModelPatcher), isinstance(vae, comfy.sd.VAE)],
        "cached": emoji_model("edm") is edm and emoji_vae() is vae,
        "sigmas": [float(edm.model.model_sampling.sigma_min), float(edm.model.model_sampling.sigma_max)],
        "flow_sigma_max": float(flow.model.model_sampling.sigma_max),
        "differences": differences,
        "finite_at_one": bool(torch.isfinite(at_one).all()),
        "spread_at_one": (at_one - at_one.mean(0)).abs().mean().item(),
        "conditions": conditions,
        "latent_shape": list(latent.shape),
        "latent_is_raw": (latent.to(device) - prior.autoencoder.encode(picture.to(device))).abs().max().item(),
        "psnr": (-10 * (decoded - image).square().mean().log10()).item(),
        "tiled": (vae.decode_tiled(latent, tile_x=12, tile_y=12, overlap=4) - decoded).abs().mean().item(),
        "tiled_encode": list(vae.encode_tiled(image, tile_x=48, tile_y=48, overlap=16).shape),
        "ratios": [vae.spacial_compression_decode(), vae.spacial_compression_encode(), vae.latent_channels],
        "memory": [vae.memory_used_decode((9, 4, 16, 16), torch.float32), edm.memory_required([4, 4, 16, 16])],
        "sizes": [edm.model_size(), vae.patcher.model_size()],
        "preview_error": (preview / 127.5 - 1 - small).abs().mean().item(),
        "gradient": bool(gradient.abs().sum() > 0),
        "refused": {
            "text": sentence(conditioned, edm, torch.zeros(1, 77, 768)),
            "text before sampling": sentence(edm.model.extra_conds, cross_attn=torch.zeros(1, 77, 768), device=device),
            "size": sentence(edm.model.apply_model, torch.zeros(1, 4, 18, 16, device=device), one),
            "parameterization": sentence(emoji_model, "vp"),
        },
    }


sys.stdout.write(json.dumps(measure()) + "\n")
