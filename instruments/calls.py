"""Passes through the networks, counted per particle: a batch of 4 is 4."""

from __future__ import annotations

from dataclasses import dataclass

from ..diffusion.observer import Observer

__all__ = ["Calls"]


@dataclass
class Calls(Observer):
    """An observer that counts, and nothing else."""

    denoiser: int = 0
    decoder_forward: int = 0
    decoder_backward: int = 0
    encoder: int = 0

    def count(self, denoiser: int = 0, decoder_forward: int = 0, decoder_backward: int = 0, encoder: int = 0) -> None:
        """Add passes."""
        self.denoiser += denoiser
        self.decoder_forward += decoder_forward
        self.decoder_backward += decoder_backward
        self.encoder += encoder
