"""Load the shipped Emoji-64 weights: two safetensors files in half precision, no network access, no ComfyUI."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .autoencoder import Autoencoder
from .unet import Denoiser

WEIGHTS = Path(__file__).parent / "weights"
AUTOENCODER_FILE = "emoji64_autoencoder.safetensors"
DENOISER_FILE = "emoji64_denoiser.safetensors"
_MEAN, _STD = "latent_mean", "latent_std"


@dataclass(frozen=True)
class EmojiPrior:
    """The prior: networks in evaluation mode without gradients to their weights, and the latent statistics.

    ``mean`` and ``std`` are ``[1, 4, 1, 1]``. The *model latent* is the standardised one, ``(raw - mean) / std``: the
    denoiser lives there, and `decode` / `encode` below take and give it.
    """

    autoencoder: Autoencoder
    denoiser: Denoiser
    mean: Tensor
    std: Tensor

    def decode(self, latent: Tensor) -> Tensor:
        """Model latent ``[N, 4, 16, 16]`` -> image ``[N, 3, 64, 64]`` about [-1, 1]; differentiable."""
        return self.autoencoder.decode(latent * self.std + self.mean)

    def encode(self, image: Tensor) -> Tensor:
        """Image ``[N, 3, 64, 64]`` in [-1, 1] -> model latent ``[N, 4, 16, 16]``; differentiable."""
        return (self.autoencoder.encode(image) - self.mean) / self.std


def load_emoji_prior(
    folder: str | Path | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    operations: Any = nn,
) -> EmojiPrior:
    """The shipped prior, or the one in ``folder``. Raises ValueError when a weight file is missing or does not fit.

    ``operations`` has the autoencoder's layers, for a host that brings its own.
    """
    folder = WEIGHTS if folder is None else Path(folder)
    autoencoder, denoiser = load_autoencoder(folder, operations), Denoiser()
    state = _read(folder / DENOISER_FILE)
    mean, std = (state.pop(key).float().reshape(1, -1, 1, 1).to(device) for key in (_MEAN, _STD))
    load_into(denoiser.network, state)
    for module in (autoencoder, denoiser):
        module.to(device=device, dtype=dtype).eval().requires_grad_(False)
    return EmojiPrior(autoencoder, denoiser, mean, std)


def load_autoencoder(folder: Path, operations: Any = nn) -> Autoencoder:
    """The autoencoder alone, on the CPU. Raises ValueError when its file is missing or does not fit."""
    autoencoder = Autoencoder(operations)
    load_into(autoencoder, _read(folder / AUTOENCODER_FILE))
    return autoencoder.eval().requires_grad_(False)


def save_autoencoder(path: Path, autoencoder: Autoencoder) -> None:
    """Write the autoencoder's weights in half precision."""
    save_file(_half(autoencoder), path)


def save_denoiser(path: Path, denoiser: Denoiser, mean: Tensor, std: Tensor) -> None:
    """Write the U-Net's weights in half precision with the latent statistics ``mean``, ``std`` in single precision."""
    statistics = {_MEAN: mean.detach().cpu().float().reshape(-1), _STD: std.detach().cpu().float().reshape(-1)}
    save_file(_half(denoiser.network) | statistics, path)


def load_into(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Copy a state dict into a module. Raises ValueError naming the first key that is missing or left over."""
    expected = module.state_dict().keys()
    odd = sorted(expected ^ state.keys())
    if odd:
        raise ValueError(
            f"weights for {type(module).__name__} do not fit this version of the pack ({odd[0]!r} differs): "
            "reinstall the pack or retrain with priors/train.py."
        )
    module.load_state_dict(state)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ValueError(f"weight file {path.name} is missing from {path.parent}: reinstall the pack.")
    return load_file(path)


def _half(module: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().cpu().half().contiguous() for key, value in module.state_dict().items()}
