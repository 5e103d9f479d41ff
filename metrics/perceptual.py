"""LPIPS, a learned perceptual distance (Zhang et al., arXiv 1801.03924): 0 for equal images, larger is worse.

The ``lpips`` package brings its own small heads. The AlexNet underneath is a file of 233 MB that torchvision would
fetch; nothing is fetched here: it is used when it is there.
"""

from __future__ import annotations

import logging
import pickle
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..diffusion.sentence import Sentence
from .images import check_pair

__all__ = ["BACKBONE_FILE", "SMALLEST_IMAGE", "find_backbone", "load_lpips"]

log = logging.getLogger(__name__)

#: The name under which torchvision keeps the weights; files named alexnet*.pth or .safetensors are found as well.
BACKBONE_FILE = "alexnet-owt-7be5be79.pth"
#: AlexNet's strides and poolings leave nothing of smaller images.
SMALLEST_IMAGE = 31
IMAGES_AT_ONCE = 8

#: Images and reference in [0, 1] to a distance per image, ``[N]``.
Distance = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def load_lpips(folders: Iterable[str | Path] = (), say: Callable[[str], None] = log.warning) -> Distance | None:
    """LPIPS with AlexNet as a function of (images, reference), or None after saying why.

    Args:
        folders: where to look for the backbone's weights, before torch's own cache.
        say: is given the sentence; the log by default.
    """
    try:
        import lpips
    except ImportError:
        say(Sentence("LPIPS is left out: the lpips package is not installed (pip install lpips)."))
        return None
    path = find_backbone(folders)
    if path is None:
        say(
            Sentence(
                "LPIPS is left out: download torchvision's AlexNet weights, {file}, and put the file into {folder}.",
                file=BACKBONE_FILE,
                folder=_places(folders)[0],
            )
        )
        return None
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lpips names torchvision's arguments in their old way
        network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)  # random weights, so that none are fetched
    try:
        _load_backbone(network.net, path)
    except (OSError, RuntimeError, KeyError, ValueError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        say(
            Sentence(
                "LPIPS is left out: {path} does not hold AlexNet's weights ({reason}); put torchvision's {file} in "
                "its place.",
                path=path,
                reason=reason,
                file=BACKBONE_FILE,
            )
        )
        return None
    return LPIPS(network.requires_grad_(False).eval())


class LPIPS:
    """``lpips(images, reference)``: the distance of each image, ``[N]``."""

    def __init__(self, network: torch.nn.Module) -> None:
        self._network = network

    def __call__(self, images: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """``images`` ``[N, 3, H, W]`` and ``reference`` ``[1 or N, 3, H, W]`` in [0, 1].

        Raises:
            ValueError: batches that cannot be compared, not three channels, or smaller than ``SMALLEST_IMAGE``.
        """
        images, reference = check_pair(images, reference)
        if images.shape[1] != 3:
            raise ValueError(f"LPIPS needs RGB images, and these have {images.shape[1]} channels.")
        if min(images.shape[-2:]) < SMALLEST_IMAGE:
            raise ValueError(
                f"the images are {images.shape[-1]}×{images.shape[-2]}; LPIPS needs {SMALLEST_IMAGE} pixels each way."
            )
        network = self._network.to(images.device)
        pairs = zip(
            images.float().split(IMAGES_AT_ONCE),
            reference.float().expand_as(images).split(IMAGES_AT_ONCE),
            strict=True,
        )
        with torch.no_grad():
            return torch.cat([network(a, b, normalize=True).flatten() for a, b in pairs])


def find_backbone(folders: Iterable[str | Path] = ()) -> Path | None:
    """The file with AlexNet's weights in one of ``folders`` or in torch's cache; None when there is none."""
    for place in _places(folders):
        if (place / BACKBONE_FILE).is_file():
            return place / BACKBONE_FILE
        others = [*place.glob("alexnet*.safetensors"), *place.glob("alexnet*.pth")]
        if others:
            return sorted(others)[0]
    return None


def _places(folders: Iterable[str | Path]) -> list[Path]:
    return [*(Path(folder) for folder in folders), Path(torch.hub.get_dir()) / "checkpoints"]


def _load_backbone(backbone: torch.nn.Module, path: Path) -> None:
    """Put torchvision's ``features.<layer>.*`` where lpips keeps them: ``slice<k>.<layer>.*``."""
    if path.suffix == ".safetensors":
        weights = load_file(path)
    else:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    names = {name: "features." + name.split(".", 1)[1] for name in backbone.state_dict()}
    backbone.load_state_dict({name: weights[stored] for name, stored in names.items()})
