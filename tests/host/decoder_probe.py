"""Run by test_decoder.py in a process of its own, inside the ComfyUI folder: the differentiable decoder, as JSON."""

import json
import sys

import torch
from inside_host import enter_host

enter_host()

import comfy.cli_args  # noqa: E402
import comfy.latent_formats  # noqa: E402
import comfy.model_management  # noqa: E402
import comfy.sd  # noqa: E402
from comfy.ldm.models.autoencoder import AutoencoderKL  # noqa: E402
from sampler_lab.host.decoder import DifferentiableDecoder  # noqa: E402
from sampler_lab.host.emoji_prior import emoji_model, emoji_vae  # noqa: E402
from sampler_lab.operators import PhaseRetrieval  # noqa: E402
from sampler_lab.posterior.autoencoder import Autoencoder  # noqa: E402
from sampler_lab.posterior.likelihood import Likelihood  # noqa: E402

CHANNELS = {"double_z": True, "z_channels": 4, "resolution": 32, "in_channels": 3, "out_ch": 3, "ch": 32}
LAYERS = {"ch_mult": [1, 2], "num_res_blocks": 1, "attn_resolutions": [], "dropout": 0.0}


def stock_vae(dtype: torch.dtype | None = torch.float32) -> comfy.sd.VAE:
    """The host's own autoencoder with random weights, made under inference mode as the host's loaders make it.

    dtype None: what the host's command line says.
    """
    params = {"embed_dim": 4, "ddconfig": CHANNELS | LAYERS}
    generator = torch.Generator().manual_seed(0)
    shapes = {name: tensor.shape for name, tensor in AutoencoderKL(**params).state_dict().items()}
    weights = {name: 0.05 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    vae = comfy.sd.VAE(sd=weights, config={"params": params}, dtype=dtype)
    vae.upscale_ratio = vae.downscale_ratio = 2
    return vae


def gradient(decoder: DifferentiableDecoder, z: torch.Tensor) -> tuple[torch.Tensor, list[int]]:
    """The gradient of the summed squares of the image, and the image's shape, from inside inference mode."""
    with torch.inference_mode(False), torch.enable_grad():
        leaf = z.clone().requires_grad_(True)
        image = decoder(leaf)
        (found,) = torch.autograd.grad(image.square().sum(), leaf)
    return found, list(image.shape)


def loaded(vae: comfy.sd.VAE, model, shape: tuple[int, ...] = (4, 8, 8)) -> DifferentiableDecoder:
    decoder = DifferentiableDecoder(vae, model)
    decoder.load(2, shape)
    return decoder


def refusal(*arguments) -> str:
    try:
        loaded(*arguments)
    except ValueError as error:
        return str(error)
    return ""


def with_fp16_vae(z: torch.Tensor, model) -> dict:
    """A likelihood's gradient as a host started with --fp16-vae has it, on a processor with bfloat16 in hardware."""
    comfy.cli_args.args.fp16_vae = True
    decoder = loaded(stock_vae(None), model)
    comfy.cli_args.args.fp16_vae = False
    measurement = PhaseRetrieval().measure(torch.linspace(-1, 1, 3 * 16 * 16).reshape(1, 3, 16, 16), seed=1)
    supported, torch.cpu._is_avx512_bf16_supported = torch.cpu._is_avx512_bf16_supported, lambda: True
    residual, gradient = Likelihood(measurement, Autoencoder(decoder)).residual_and_gradient(z)
    torch.cpu._is_avx512_bf16_supported = supported
    return {"dtype": str(decoder.dtype), "finite": bool(torch.isfinite(gradient).all() and (residual > 0).all())}


@torch.inference_mode()
def measure() -> dict:
    vae, model = stock_vae(), emoji_model("edm").clone()
    z = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1)).to(model.load_device)
    decoder = loaded(vae, model)
    stock, shape = gradient(decoder, z)

    raw = model.get_model_object("latent_format").process_out(z)
    host_image = vae.decode(raw).movedim(-1, 1).to(z) * 2 - 1
    unclamped = decoder(z)

    # Dynamic VRAM keeps the checkpoint's precision in the modules and casts them when they are called.
    half = stock_vae()
    half.first_stage_model.half()
    for module in half.first_stage_model.modules():
        if hasattr(module, "comfy_cast_weights"):
            module.comfy_cast_weights = True
    half_decoder = loaded(half, model)
    of_half, _ = gradient(half_decoder, z)
    kinds = {(str(tensor.dtype), tensor.is_inference()) for tensor in half_decoder._weights.values()}

    sixteen = emoji_model("edm").clone()
    constants = comfy.latent_formats.Wan21()  # made under inference mode, as the host makes it
    constants.latents_mean, constants.latents_std = constants.latents_mean[:, :4, 0], constants.latents_std[:, :4, 0]
    sixteen.add_object_patch("latent_format", constants)
    wan, _ = gradient(loaded(vae, sixteen), z)

    one, many = (decoder.memory_required(n, (4, 8, 8)) for n in (1, 9))
    return {
        "shape": shape,
        "gradient": float(stock.abs().sum()),
        "as the host decodes": float((unclamped.clamp(-1, 1) - host_image).abs().max()),
        "fp16 vae": with_fp16_vae(z, model),
        "half": float((of_half - stock).abs().max() / stock.abs().max()),
        "kinds": sorted(map(list, kinds)),
        "inference constants": float(wan.abs().sum()),
        "memory of 8 more": (many - one) / (8 * vae.memory_used_decode((1, 4, 8, 8), torch.float32)),
        "channels": refusal(emoji_vae(), model, (16, 8, 8)),
    }


sys.stdout.write(json.dumps(measure()) + "\n")
