"""DINO as a feature space: what a picture shows, where pixels only say which colours are where.

DINO (Caron et al., arXiv 2104.14294) is a vision transformer trained without labels; the feature is its class token.
Its weights (86 MB) are never downloaded from here; they come from a folder of the user's or from a cache that timm or
torch.hub filled before.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

from ..decoding import Decoder

__all__ = ["DINO_MODEL", "DINO_MODELS", "PREPROCESSINGS", "DINOFeatures", "find_dino_weights", "load_dino"]

#: "imagenet": as DINO was trained. "rsd_compat": the decoder's output as it is, as the published repulsion code has it.
PREPROCESSINGS = ("imagenet", "rsd_compat")
DINO_MODELS = ("vit_small_patch16_224.dino", "vit_base_patch16_224.dino")
DINO_MODEL = DINO_MODELS[0]
SIDE, PATCH = 224, 16
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as every DINO was trained

#: The authors' own files, by timm's name of the same network.
_AUTHORS_FILES = {
    "vit_small_patch16_224.dino": "dino_deitsmall16_pretrain.pth",
    "vit_base_patch16_224.dino": "dino_vitbase16_pretrain.pth",
}


class DINOFeatures:
    """DINO's class token of the decoded image."""

    decodes = True

    def __init__(self, decoder: Decoder, network: nn.Module, preprocessing: str = "imagenet") -> None:
        """``network``: from :func:`load_dino`, on the device of the decoder's images."""
        if preprocessing not in PREPROCESSINGS:
            raise ValueError(f"preprocessing is {preprocessing!r}; choose one of {', '.join(PREPROCESSINGS)}.")
        self.decoder, self.network, self.preprocessing = decoder, network, preprocessing

    def __call__(self, z: torch.Tensor) -> torch.Tensor:
        """``[N, c, h, w]`` to ``[N, 384]`` (for the small network)."""
        image = self.decoder(z)
        if self.preprocessing == "imagenet":
            image = torch.nn.functional.interpolate(
                (image + 1) / 2, size=(SIDE, SIDE), mode="bicubic", antialias=True, align_corners=False
            )
            image = (image - image.new_tensor(MEAN).reshape(-1, 1, 1)) / image.new_tensor(STD).reshape(-1, 1, 1)
        else:
            # The published code decodes to 512², a multiple of the patch; other sizes lose a rim.
            height, width = (side - side % PATCH for side in image.shape[-2:])
            image = image[..., :height, :width]
        return self.network(image)


def find_dino_weights(folders: Iterable[Path] = (), model: str = DINO_MODEL) -> Path | None:
    """The file with the weights of ``model`` (timm's name), or None. Looks on this machine's disk only.

    In each of ``folders``: ``<model>.safetensors``, ``.pth`` or ``.bin``, ``<model>/model.safetensors``, or the
    authors' own file name. Then in the caches of timm (the Hugging Face hub's) and of torch.hub.
    """
    names = [f"{model}.safetensors", f"{model}.pth", f"{model}.bin", f"{model}/model.safetensors"]
    authors = _AUTHORS_FILES.get(model)
    if authors:
        names.append(authors)
    candidates = [Path(folder) / name for folder in folders for name in names]
    if authors:
        candidates.append(Path(torch.hub.get_dir()) / "checkpoints" / authors)
    found = next((path for path in candidates if path.is_file()), None)
    return found or _in_hub_cache(model)


def load_dino(weights: Path, model: str = DINO_MODEL) -> nn.Module:
    """The network on the CPU, frozen, in evaluation mode: images ``[N, 3, H, W]`` to class tokens ``[N, 384]``.

    Raises:
        ValueError: timm is not installed or does not know ``model``, or the file does not hold its weights.
    """
    try:
        import timm
    except ImportError:
        raise ValueError(
            "the DINO feature space needs the timm package: pip install timm, or choose latent or pixel."
        ) from None

    try:
        with torch.device("meta"):  # no memory and, above all, no random numbers for weights that are replaced
            network = timm.create_model(model, pretrained=False, num_classes=0, dynamic_img_size=True)
    except RuntimeError as problem:
        raise ValueError(f"timm has no model {model!r} ({problem}); use {DINO_MODEL}.") from problem
    # Weights made under the host's inference mode could not carry a gradient to the image.
    with torch.inference_mode(False):
        state = _read(weights)
        expected = network.state_dict()
        wrong = [key for key, value in expected.items() if key not in state or state[key].shape != value.shape]
        if wrong:
            raise ValueError(
                f"{weights.name} does not hold the weights of {model} ({wrong[0]!r} is missing or has another shape); "
                "put the right file in its place, or remove it."
            )
        network.load_state_dict({key: state[key].float().clone() for key in expected}, assign=True)
        return network.eval().requires_grad_(False)


def _read(path: Path) -> dict[str, torch.Tensor]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def _in_hub_cache(model: str) -> Path | None:
    """timm keeps its weights in the Hugging Face hub's cache; this asks the cache and never the network."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    cached = try_to_load_from_cache(f"timm/{model}", "model.safetensors")
    return Path(cached) if isinstance(cached, str) else None
