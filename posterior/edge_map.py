r"""Where is a decoder's picture wrong? At its edges.

A decoder of a small latent gets flat areas right and blurs or shifts what is sharp: its squared error, averaged over
pictures, is nearly proportional to the energy of the gradient around a pixel. So the variance of a pixel is

.. math:: s_p^2 = c\, t^2\, (b + (1 - b)\, m_p), \qquad
          m = \frac{G * |\nabla x_0|^2}{\overline{G * |\nabla x_0|^2}},

with t² the picture's mean squared error, G a Gaussian of one pixel and b the share that is the same everywhere: what
the model has wrong in the large does not follow edges.
"""

from __future__ import annotations

import torch

__all__ = ["edge_map"]

#: Of the blur, in pixels.
RADIUS = 3


def edge_map(images: torch.Tensor) -> torch.Tensor:
    """m of images ``[N, C, H, W]``: the blurred energy of the gradient, mean 1 in each, ``[N, 1, H, W]``.

    A flat picture, which has no edge, has ones.
    """
    right = torch.nn.functional.pad(images[..., 1:] - images[..., :-1], (0, 1))
    down = torch.nn.functional.pad(images[..., 1:, :] - images[..., :-1, :], (0, 0, 0, 1))
    energy = (right.square() + down.square()).mean(1, keepdim=True)
    kernel = torch.exp(-0.5 * torch.arange(-RADIUS, RADIUS + 1, device=images.device, dtype=images.dtype).square())
    kernel = kernel / kernel.sum()
    energy = torch.nn.functional.pad(energy, (RADIUS,) * 4, mode="replicate")
    energy = torch.nn.functional.conv2d(energy, kernel.view(1, 1, 1, -1))
    energy = torch.nn.functional.conv2d(energy, kernel.view(1, 1, -1, 1))
    mean = energy.mean((-2, -1), keepdim=True)
    return torch.where(mean > 0, energy / mean.clamp_min(1e-30), torch.ones_like(energy))
