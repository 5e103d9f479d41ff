"""Graphs for the prompt queue, built by name, and the latents that come back."""

from __future__ import annotations

from typing import Any

import torch
from safetensors.torch import load

__all__ = ["EmojiGraph", "Graph"]

#: What a link to an output looks like in the queue: node id and slot.
Link = list


class Graph:
    """A prompt in the making: ``g.add("KSampler", seed=1, …)`` gives the link to the new node's first output."""

    def __init__(self) -> None:
        self.prompt: dict[str, dict[str, Any]] = {}
        self._saved: dict[str, str] = {}

    def add(self, node_type: str, slot: int = 0, **inputs: Any) -> Link:
        key = str(len(self.prompt) + 1)
        self.prompt[key] = {"class_type": node_type, "inputs": inputs}
        return [key, slot]

    def save(self, name: str, latent: Link) -> None:
        """Have this latent come back under ``name``."""
        self._saved[name] = self.add("SaveLatent", samples=latent, filename_prefix="sampler_lab_test/latent")[0]

    def run(self, client: Any, timeout: float = 600) -> dict[str, torch.Tensor]:
        """Run it all; the saved latents by name."""
        result = client.run(self.prompt, timeout=timeout)
        files = {name: result.outputs[key]["latents"][0] for name, key in self._saved.items()}
        return {name: load(client.view(file))["latent_tensor"] for name, file in files.items()}


class EmojiGraph(Graph):
    """With the Emoji prior, two prompts and an encoded picture in it.

    seed: of all noise. A seed of its own lets a test run although the host has cached a graph like it.
    """

    def __init__(self, parameterization: str = "edm", seed: int = 1, count: int = 1) -> None:
        super().__init__()
        self.seed = seed
        self.model = self.add("SamplerLabLoadEmojiPrior", parameterization=parameterization)
        self.vae = [self.model[0], 1]
        self.positive = self.add("SamplerLabEmojiPrompt", class_name="face")
        self.negative = self.add("SamplerLabEmojiPrompt", class_name="none")
        picture = self.add("EmptyImage", width=64, height=64, batch_size=count, color=0x3366CC)
        self.latent = self.add("VAEEncode", pixels=picture, vae=self.vae)
        self.noise = self.add("RandomNoise", noise_seed=seed)

    def guider(self, cfg: float = 1.2) -> Link:
        return self.add("CFGGuider", model=self.model, positive=self.positive, negative=self.negative, cfg=cfg)

    def basic_guider(self) -> Link:
        return self.add("BasicGuider", model=self.model, conditioning=self.positive)

    def sampler(self, name: str) -> Link:
        return self.add("KSamplerSelect", sampler_name=name)

    def masked(self) -> Link:
        """The latent with a mask: the right half may be painted."""
        left = self.add("SolidMask", value=0.0, width=64, height=64)
        right = self.add("SolidMask", value=1.0, width=32, height=64)
        mask = self.add("MaskComposite", destination=left, source=right, x=32, y=0, operation="add")
        return self.add("SetLatentNoiseMask", samples=self.latent, mask=mask)

    def ksampler(self, sampler: str, scheduler: str, steps: int, latent: Link | None = None, **more: Any) -> Link:
        inputs = {"cfg": 1.2, "denoise": 1.0, **more}
        return self.add(
            "KSampler",
            **self._ends(latent),
            seed=self.seed,
            steps=steps,
            sampler_name=sampler,
            scheduler=scheduler,
            **inputs,
        )

    def ksampler_advanced(self, sampler: str, scheduler: str, steps: int, **more: Any) -> Link:
        inputs = {
            "add_noise": "enable",
            "cfg": 1.2,
            "start_at_step": 0,
            "end_at_step": 10_000,
            "return_with_leftover_noise": "disable",
            **more,
        }
        return self.add(
            "KSamplerAdvanced",
            **self._ends(None),
            noise_seed=self.seed,
            steps=steps,
            sampler_name=sampler,
            scheduler=scheduler,
            **inputs,
        )

    def custom(self, sampler: Link, sigmas: Link, guider: Link, latent: Link | None = None, noise: Link | None = None):
        return self.add(
            "SamplerCustomAdvanced",
            noise=noise or self.noise,
            guider=guider,
            sampler=sampler,
            sigmas=sigmas,
            latent_image=latent or self.latent,
        )

    def _ends(self, latent: Link | None) -> dict[str, Link]:
        return {
            "model": self.model,
            "positive": self.positive,
            "negative": self.negative,
            "latent_image": latent or self.latent,
        }
