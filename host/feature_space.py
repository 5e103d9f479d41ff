"""A feature space for one sampling run inside the host: decoder and DINO are loaded for it and released after it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import comfy.model_management
import torch

from ..diffusion.options import Option
from ..diffusion.sentence import Sentence
from ..posterior.interaction.dino import (
    DINO_MODEL,
    PREPROCESSINGS,
    DINOFeatures,
    find_dino_weights,
    load_dino,
)
from ..posterior.interaction.features import FEATURE_SPACES, FeatureSpace, LatentFeatures, PixelFeatures
from .decoder import DifferentiableDecoder
from .folders import model_folders
from .latents import check_single_images
from .notices import notify

__all__ = ["FEATURE_SPACE", "PREPROCESSING", "FeatureSpaceOfRun"]

FEATURE_SPACE = Option(
    "feature_space",
    FEATURE_SPACES[0],
    "Feature space in which they repel each other. latent: layout and colours, free. pixel: the same on the decoded "
    "picture. dino: what is shown; needs the DINO weights in models/dino, else latent is used and a notice says so.",
    choices=FEATURE_SPACES,
)
PREPROCESSING = Option(
    "preprocessing",
    PREPROCESSINGS[0],
    "What DINO sees. imagenet: as it was trained. rsd_compat: the decoder's output as it is, to repeat published runs.",
    choices=PREPROCESSINGS,
    advanced=True,
    added_later=True,
)

#: Bytes that autograd keeps of DINO (small) per image: 36 MiB measured in single precision, with room for the rest.
DINO_BYTES_PER_IMAGE = 64 * 2**20


class FeatureSpaceOfRun:
    """Which feature space a run uses, and what it needs for it.

    >>> with space.loaded(model_patcher, particles=4, latent_shape=(4, 64, 64)) as features:  # doctest: +SKIP
    ...     features(z)  # [4, c, h, w] -> [4, F]
    """

    def __init__(
        self,
        name: str = FEATURE_SPACE.default,
        vae: Any = None,
        preprocessing: str = PREPROCESSING.default,
        dino_model: str = DINO_MODEL,
    ) -> None:
        """``name``: one of FEATURE_SPACES; ``vae``: the model's, for "pixel" and "dino".

        Raises:
            ValueError: an unknown name, or no VAE where one is needed.
        """
        FEATURE_SPACE.check(name)
        PREPROCESSING.check(preprocessing)
        if name != "latent" and vae is None:
            raise ValueError(f"feature_space is {name}, which needs decoded images; connect the vae, or choose latent.")
        self.name, self.vae, self.preprocessing, self.dino_model = name, vae, preprocessing, dino_model

    def to_dict(self) -> dict[str, str]:
        """Plain strings, for the run's record."""
        described = {"feature_space": self.name}
        if self.name == "dino":
            described |= {"dino_model": self.dino_model, "preprocessing": self.preprocessing}
        return described

    @contextmanager
    def loaded(self, model_patcher: Any, particles: int, latent_shape: tuple[int, ...]) -> Iterator[FeatureSpace]:
        """The feature space, ready for ``particles`` latents of ``latent_shape`` = (c, ...) at a time.

        The latent space takes the place of DINO when its weights are not on this machine; a notice says so.
        """
        weights = None
        if self.name == "dino":
            weights = find_dino_weights(model_folders("dino"), self.dino_model)
            if weights is None:
                notify(
                    Sentence(
                        "the weights of DINO ({model}) are not here, so items are told apart in the latent space; to "
                        "use DINO, download model.safetensors of timm/{model} from Hugging Face and put it into "
                        "models/dino as {model}.safetensors.",
                        model=self.dino_model,
                    )
                )
        if self.name == "latent" or (self.name == "dino" and weights is None):
            yield LatentFeatures()
            return
        latents = torch.empty(0, *latent_shape, device="meta")
        check_single_images(latents, model_patcher.get_model_object("latent_format"))
        decoder = DifferentiableDecoder(self.vae, model_patcher)
        try:
            decoder.load(particles, latent_shape)
            if weights is None:
                yield PixelFeatures(decoder)
            else:
                with self._dino(model_patcher, weights, particles) as network:
                    yield DINOFeatures(decoder, network, self.preprocessing)
        finally:
            decoder.release()

    @contextmanager
    def _dino(self, model_patcher: Any, weights: Path, particles: int) -> Iterator[torch.nn.Module]:
        """DINO beside the model, after the host has made room for it; back in main memory afterwards."""
        network = _network(weights, self.dino_model)
        size = sum(parameter.nbytes for parameter in network.parameters())
        comfy.model_management.load_models_gpu(
            [model_patcher, self.vae.patcher], memory_required=size + particles * DINO_BYTES_PER_IMAGE
        )
        # Moved under the executor's inference mode, weights could no longer carry a gradient.
        with torch.inference_mode(False):
            network.to(model_patcher.load_device)
        try:
            yield network
        finally:
            with torch.inference_mode(False):
                network.to("cpu")


@functools.lru_cache(maxsize=1)
def _network(weights: Path, model: str) -> torch.nn.Module:
    logging.info("[Sampler Lab] DINO is read from %s", weights)
    return load_dino(weights, model)
