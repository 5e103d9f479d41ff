"""The noise of a diffraction pattern, from its symmetry (Friedel's law)."""

from __future__ import annotations

import math

import torch

from ..fourier import point_reflection

__all__ = ["estimate_sigma"]


def estimate_sigma(y: torch.Tensor, mask: torch.Tensor | None = None) -> float:
    """The noise of a centred amplitude pattern ``[1, C, h, w]`` of a real object, from the pattern alone.

    A real object's noiseless pattern is point-symmetric (Friedel's law), so y(k) and y(-k) are two recordings of the
    same value: their difference has variance 2 sigma². Pairs near zero, where clipping shortens the difference, are
    left out; choosing by the pair's *mean* does not bias its difference.

    Raises:
        ValueError: fewer than 16 bright pairs: the noise hides everything, or the pattern is not that of a real object.
    """
    pair, valid = point_reflection(y), torch.ones_like(y, dtype=torch.bool)
    if mask is not None:
        valid = (mask > 0) & (point_reflection(mask.expand_as(y)) > 0)
    half = torch.arange(y[0, 0].numel(), device=y.device).reshape(y.shape[-2:])
    valid = valid & (half < point_reflection(half))  # each pair once, self-paired pixels never
    difference, mean = (y - pair)[valid].double(), (y + pair)[valid].double() / 2
    sigma = 0.0
    for _ in range(20):  # the threshold is in units of the sigma sought; this settles in a few rounds
        bright = difference[mean > 4 * sigma]
        if bright.numel() < 16:
            raise ValueError("the noise cannot be estimated: too few bright point-symmetric pixels; enter noise_sigma.")
        sigma, last = float(bright.square().mean().sqrt()) / math.sqrt(2), sigma
        if abs(sigma - last) <= 1e-6 * sigma:
            break
    return sigma
