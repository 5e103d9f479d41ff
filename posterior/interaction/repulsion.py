r"""Repulsion between particles, so that several attempts do not all end in the same place.

Repulsive score distillation (Zilberstein et al., arXiv 2406.16683), particle guidance (Corso et al., arXiv 2310.13102).
With a feature :math:`f_i` per particle, :math:`d_{ij} = \|f_i - f_j\|` and one bandwidth per particle,

.. math::
    h_i = \mathrm{median}_{j \ne i}(d_{ij})^2 / \log N, \quad w_{ij} = e^{-d_{ij}^2/h_i}, \quad
    g_i = \frac{\sum_{j \ne i} (2/h_i)\, w_{ij} (f_i - f_j)}{\sum_{j \ne i} w_{ij}}

is the gradient of :math:`-\log \sum_j w_{ij}` with w's normaliser and h held fixed: it points away from the others. One
vector–Jacobian product pulls it back from the features to the latent, r = J^T g. It then changes the right-hand side of
the probability-flow ODE, d = (x - D)/sigma = -sigma · score, in VE coordinates:

* normalised: d' = d - rho(sigma) · rms(d) · r/rms(r). The change is a known share of the score on every model.
* raw: score' = score + s(sigma) · r, hence d' = d - s(sigma) · sigma · r, as published.

The published bandwidth divides by log(N - 1), which is 0 for two particles and turns the force off; log N does not.
Nothing here draws a random number.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch

from ...diffusion.parameterization import Parameterization

__all__ = [
    "MODES",
    "SCHEDULES",
    "FeatureSpace",
    "RepulsionOfStep",
    "RepulsionOptions",
    "pairwise_distance",
    "repel",
    "repel_denoised",
    "repulsion",
    "repulsive_forces",
]

#: A latent ``[N, ...]`` in the model's own scale to features ``[N, F]``, differentiable; rows do not mix.
FeatureSpace = Callable[[torch.Tensor], torch.Tensor]

MODES = ("normalised", "raw")
SCHEDULES = ("linear", "cosine")


@dataclass(frozen=True)
class RepulsionOptions:
    """How strongly particles repel each other, and until when.

    strength: rho, the share of the score's norm (normalised; sensible up to about 0.06), or s, the factor on the force
        (raw). 0 leaves repulsion out.
    mode: one of :data:`MODES`.
    schedule: how the strength falls from full at the first level to 0 at ``sigma_break``, in log sigma.
    sigma_break: the VE noise level at which repulsion ends. Above it images are laid out, below it they are finished.
    micro_batch: particles whose features are computed together; 0 for all. Smaller needs less memory.
    """

    strength: float = 0.04
    mode: str = "normalised"
    schedule: str = "linear"
    sigma_break: float = 0.3
    micro_batch: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.strength < math.inf:
            raise ValueError(f"repulsion strength is {self.strength}; it must be 0 (off) or a positive number.")
        if self.mode not in MODES:
            raise ValueError(f"repulsion mode is {self.mode!r}; choose one of {', '.join(MODES)}.")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"repulsion schedule is {self.schedule!r}; choose one of {', '.join(SCHEDULES)}.")
        if not 0 < self.sigma_break < math.inf:
            raise ValueError(f"sigma_break is {self.sigma_break}; it must be a noise level greater than 0.")
        if self.micro_batch < 0:
            raise ValueError(f"micro_batch is {self.micro_batch}; it must be 0 (all particles at once) or more.")

    def strength_at(self, sigma_ve: float, sigma_top: float) -> float:
        """The strength at a VE noise level; ``sigma_top`` is the level where it is full, usually the run's first.

        0 at and below ``sigma_break``, and everywhere when ``sigma_top`` lies below it.
        """
        if self.strength == 0 or not self.sigma_break < min(sigma_ve, sigma_top):
            return 0.0
        above = math.log(min(sigma_ve, sigma_top) / self.sigma_break) / math.log(sigma_top / self.sigma_break)
        return self.strength * (above if self.schedule == "linear" else (1 - math.cos(math.pi * above)) / 2)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for the run's record."""
        return asdict(self)


def repulsive_forces(features: torch.Tensor) -> torch.Tensor:
    """g ``[N, F]``: the direction away from the other particles, in feature space.

    A row with a NaN or an infinity counts as absent: it feels no force and exerts none. Zeros for fewer than two rows,
    and for a row most of whose others coincide with it (there is no direction away from oneself).
    """
    finite = torch.isfinite(features).all(1)
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
    finite = torch.isfinite(r.flatten(1)).all(1)
    return torch.where(_per_row(finite, r), r, torch.zeros_like(r)), features


def repel(
    d: torch.Tensor, r: torch.Tensor, sigma_ve: float, options: RepulsionOptions, sigma_top: float
) -> torch.Tensor:
    """d', the ODE's right-hand side with repulsion.

    Args:
        d: (x_ve - D)/sigma_ve, ``[N, ...]``.
        r: from :func:`repulsion`.
        sigma_ve: the level of ``d``, in VE units.
        options: strength, mode and schedule.
        sigma_top: see :meth:`RepulsionOptions.strength_at`.

    Returns:
        ``d`` itself where the strength is 0.
    """
    strength = options.strength_at(sigma_ve, sigma_top)
    if strength == 0:
        return d
    if options.mode == "raw":
        return d - strength * sigma_ve * r
    size = _rms(r)
    unit = torch.where(size > 0, r / size, torch.zeros_like(r))
    return d - strength * _rms(d) * unit


def repel_denoised(
    denoised: torch.Tensor,
    x: torch.Tensor,
    sigma: torch.Tensor,
    parameterization: Parameterization,
    r: torch.Tensor,
    options: RepulsionOptions,
    sigma_top: float,
) -> torch.Tensor:
    """D' = D + sigma_ve (d - d'): the same repulsion as a change of the denoiser's output, for any sampler or ODE step.

    Above ``sigma_top``, and so at a flow's sigma = 1, where sigma_ve is infinite, ``sigma_top`` takes its place: D'
    stays finite, and steps in which nothing is decided yet are not blown up.

    Args:
        denoised: D(x), ``[N, ...]``.
        x: noisy latents in the model's own coordinates.
        sigma: their level, 0-dimensional, in the model's own units.
        parameterization: VE or CONST.
        r: from :func:`repulsion`.
        options: strength, mode and schedule.
        sigma_top: see :meth:`RepulsionOptions.strength_at`.

    Returns:
        ``denoised`` itself where the strength is 0.
    """
    sigma_ve = min(float(parameterization.sigma_ve(sigma.double())), sigma_top)
    if options.strength_at(sigma_ve, sigma_top) == 0:
        return denoised
    d = (x - parameterization.alpha(sigma) * denoised) / parameterization.noise_deviation(sigma)
    return denoised + sigma_ve * (d - repel(d, r.to(d), sigma_ve, options, sigma_top))


class RepulsionOfStep:
    """Repulsion during one annealing step: the force is computed once, when the ODE first asks the denoiser.

    Then D(x; sigma) is x0_hat as it stands at this level. Along the ODE the same force is added to the score of every
    hop. With no options, strength 0 here, or a single particle there is no correction at all.

    strength: at this level. norms: rms of the force per particle, once it is known. decoder_passes: forward and
    backward that a feature space of decoded images took, counted per particle.
    """

    def __init__(
        self,
        options: RepulsionOptions | None,
        feature_space: FeatureSpace,
        parameterization: Parameterization,
        sigma_ve: float,
        sigma_top: float,
        count: int,
    ) -> None:
        """``sigma_ve``: the annealing level; ``sigma_top``: the first one; ``count``: particles."""
        self.strength = 0.0 if options is None or count < 2 else options.strength_at(sigma_ve, sigma_top)
        self.norms: list[float] | None = None
        self.decoder_passes = (0, 0)
        self._options, self._features, self._parameterization = options, feature_space, parameterization
        self._sigma_top = sigma_top
        self._force: torch.Tensor | None = None

    @property
    def correction(self) -> Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor] | None:
        """``D'(D, x, sigma)`` for :func:`probability_flow`, or None."""
        return self._correct if self.strength > 0 else None

    def _correct(self, denoised: torch.Tensor, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        if self._force is None:
            self._force, _ = repulsion(denoised, self._features, self._options.micro_batch)
            self.norms = _rms(self._force).flatten().tolist()
            if getattr(self._features, "decodes", False):
                split = 0 < self._options.micro_batch < len(denoised)  # then every latent is decoded twice
                self.decoder_passes = (len(denoised) * (2 if split else 1), len(denoised))
        return repel_denoised(denoised, x, sigma, self._parameterization, self._force, self._options, self._sigma_top)


def pairwise_distance(features: torch.Tensor) -> float | None:
    """The mean root-mean-square distance between pairs of finite rows; None when there are fewer than two."""
    flat = features.flatten(1).cpu()  # Apple's GPUs have no pdist
    flat = flat[torch.isfinite(flat).all(1)]
    if len(flat) < 2:
        return None
    return float(torch.pdist(flat.float()).mean() / flat.shape[1] ** 0.5)


def _rms(x: torch.Tensor) -> torch.Tensor:
    """Root mean square per row, shaped to broadcast against ``x``."""
    return _per_row(x.flatten(1).square().mean(1).sqrt(), x)


def _per_row(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return values.reshape(-1, *[1] * (like.ndim - 1))
