r"""The force between particles: in a feature space, away from the others, pulled back to the latent.

Repulsive score distillation (Zilberstein et al., arXiv 2406.16683), particle guidance (Corso et al., arXiv 2310.13102).
With a feature :math:`f_i` per particle, :math:`d_{ij} = \|f_i - f_j\|` and one bandwidth per particle,

.. math::
    h_i = \mathrm{median}_{j \ne i}(d_{ij})^2 / \log N, \quad w_{ij} = e^{-d_{ij}^2/h_i}, \quad
    g_i = \frac{\sum_{j \ne i} (2/h_i)\, w_{ij} (f_i - f_j)}{\sum_{j \ne i} w_{ij}}

is the gradient of :math:`-\log \sum_j w_{ij}` with w's normaliser and h held fixed: it points away from the others. One
vector-Jacobian product pulls it back from the features to the latent, r = J^T g.

The published bandwidth divides by log(N - 1), which is 0 for two particles and turns the force off; log N does not.
Nothing here draws a random number.
"""

from __future__ import annotations

import math

import torch

from ...diffusion.tensors import finite_rows, per_row
from .features import FeatureSpace

__all__ = ["pairwise_distance", "repulsion", "repulsive_forces"]


def repulsive_forces(features: torch.Tensor) -> torch.Tensor:
    """g ``[N, F]``: the direction away from the other particles, in feature space.

    A row with a NaN or an infinity counts as absent: it feels no force and exerts none. Zeros for fewer than two rows,
    and for a row most of whose others coincide with it (there is no direction away from oneself).
    """
    finite = finite_rows(features)
    count = int(finite.sum())
    if count < 2:
        return torch.zeros_like(features)
    dtype, features = features.dtype, features if features.dtype == torch.float64 else features.float()
    f = torch.where(finite[:, None], features, torch.zeros_like(features))
    # Only differences count; without the common offset less is lost to rounding.
    f = torch.where(finite[:, None], f - f.sum(0) / count, f)
    distance = torch.cdist(f, f, compute_mode="donot_use_mm_for_euclid_dist")
    others = finite[:, None] & finite[None, :] & ~torch.eye(len(f), dtype=torch.bool, device=f.device)
    # The median of an even number of values lies between the middle two.
    median = torch.nanquantile(distance.masked_fill(~others, torch.nan), 0.5, dim=1).nan_to_num(0.0)
    h = median.square() / math.log(count)
    moves = h > 0
    h = torch.where(moves, h, torch.ones_like(h))
    w = torch.where(others, torch.exp(-distance.square() / h[:, None]), torch.zeros_like(distance))
    w = w / w.sum(1, keepdim=True).clamp_min(torch.finfo(w.dtype).tiny)
    # sum_j w_ij (f_i - f_j) with weights that sum to 1 is f_i minus the weighted mean of the others.
    return torch.where(moves[:, None], (2 / h)[:, None] * (f - w @ f), torch.zeros_like(f)).to(dtype)


def repulsion(z: torch.Tensor, feature_space: FeatureSpace, micro_batch: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """r, the force on every particle in the latent, and the particles' features.

    Args:
        z: clean latents ``[N, ...]`` in the model's own scale: the denoiser's output, or LatentDAPS's x0_hat.
        feature_space: see :data:`FeatureSpace`. With a network it must bring weights that autograd accepts.
        micro_batch: particles per pass; other than 0 costs a second forward pass.

    Returns:
        r, shaped and typed like ``z`` (zero in rows where it is not finite), and features ``[N, F]`` without gradient.
    """
    chunks = z.split(micro_batch) if micro_batch > 0 else (z,)
    # ComfyUI runs nodes under inference mode; see posterior/likelihood.py.
    with torch.inference_mode(False), torch.enable_grad():
        leaves = [chunk.clone().requires_grad_(True) for chunk in chunks]
        if len(leaves) == 1:
            kept = [feature_space(leaves[0])]
            features = kept[0].detach()
        else:
            kept = []
            with torch.no_grad():
                features = torch.cat([feature_space(leaf) for leaf in leaves])
        forces = repulsive_forces(features).split([len(leaf) for leaf in leaves])
        pulled = []
        for k, (leaf, force) in enumerate(zip(leaves, forces, strict=True)):
            (r,) = torch.autograd.grad(kept[k] if kept else feature_space(leaf), leaf, force)
            pulled.append(r)
    r = torch.cat(pulled)
    return torch.where(per_row(finite_rows(r), r), r, torch.zeros_like(r)), features


def pairwise_distance(features: torch.Tensor) -> float | None:
    """The mean root-mean-square distance between pairs of finite rows; None when there are fewer than two."""
    flat = features.flatten(1).cpu()  # Apple's GPUs have no pdist
    flat = flat[finite_rows(flat)]
    if len(flat) < 2:
        return None
    return float(torch.pdist(flat.float()).mean() / flat.shape[1] ** 0.5)
