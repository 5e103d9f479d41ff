r"""Pruning: late in a run, keep the K particles that are worth their decoder calls.

Two questions are asked of the particles at one moment of the annealing: how large is the residual
:math:`L_i = \|A(x_i) - y\|^2`, and how far apart are the pictures, :math:`d_{ij} = \min_s \mathrm{rms}(s(x_i) - x_j)`
over the symmetries s of the measurement (``symmetric_distance``)? A twin rotated by 180° explains the measurement
exactly as well, so it is no other solution, and counts as one only when nothing more different is left.

* residual: the K smallest residuals.
* diverse: the smallest residual first; then, by residual and as long as it is within the tolerance, every *other
  picture*; then every *other orientation* of a kept one; then what is left. Of near duplicates the better one stays.
* resample: K draws with weights :math:`e^{-\beta L_i}`, beta such that the effective sample size
  :math:`(\sum w)^2/\sum w^2` is a given share of N. At beta = 1/(2 sigma_y²) the smallest residual would take all: in
  the middle of a run residuals differ by thousands of nats. Drawn systematically, so good particles come as often as
  their weights say; a particle drawn twice goes on as two, each with its own noise (sequential Monte Carlo).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from ...operators import IDENTITY, Symmetry

__all__ = ["MODES", "Pruned", "PruningOptions", "prune", "symmetric_distance"]

MODES = ("diverse", "residual", "resample")


@dataclass(frozen=True)
class PruningOptions:
    """When and how particles are pruned.

    keep: K, the particles that go on; 0 leaves pruning out, as does a batch of K or fewer.
    progress: share of the annealing steps after which it happens.
    sigma: if greater than 0, it happens after the first step at or below this VE noise level instead.
    mode: one of :data:`MODES`.
    tolerance: a different picture is preferred to a duplicate while its residual is at most 1 + tolerance times the
        smallest one. Measured at 80 % of the annealing on the Emoji prior: within 2 % of the smallest 88 % of the
        particles ended as a reconstruction, from 2 to 5 % above it 20 %, from 10 to 20 % above it 10 %.
    duplicate_psnr: pictures closer to each other than this, in dB, are duplicates.
    effective_share: of "resample": the effective sample size as a share of N.
    """

    keep: int = 2
    progress: float = 0.8
    sigma: float = 0.0
    mode: str = "diverse"
    tolerance: float = 0.03
    duplicate_psnr: float = 20.0
    effective_share: float = 0.5

    def __post_init__(self) -> None:
        if self.keep < 0:
            raise ValueError(f"keep is {self.keep}; it must be 0 (no pruning) or the number of particles that go on.")
        if not 0 <= self.progress <= 1:
            raise ValueError(
                f"progress is {self.progress}; it must lie between 0 and 1 (0.8: after 80 % of the steps)."
            )
        if not 0 <= self.sigma < math.inf:
            raise ValueError(f"sigma is {self.sigma}; it must be 0 (use progress) or a noise level.")
        if self.mode not in MODES:
            raise ValueError(f"pruning mode is {self.mode!r}; choose one of {', '.join(MODES)}.")
        if not self.tolerance >= 0:
            raise ValueError(f"tolerance is {self.tolerance}; it must be 0 or more.")
        if not math.isfinite(self.duplicate_psnr):
            raise ValueError(f"duplicate_psnr is {self.duplicate_psnr}; it must be a number of dB, usually 15 to 30.")
        if not 0 < self.effective_share <= 1:
            raise ValueError(f"effective_share is {self.effective_share}; it must lie between 0 and 1.")

    def step(self, sigmas_ve: Sequence[float]) -> int | None:
        """The annealing step after which to prune; None for never. ``sigmas_ve``: the level of every step."""
        if self.keep == 0:
            return None
        if self.sigma > 0:
            return next((i for i, sigma in enumerate(sigmas_ve) if sigma <= self.sigma), None)
        return step_at(self.progress, len(sigmas_ve))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for the run's record."""
        return asdict(self)


@dataclass(frozen=True)
class Pruned:
    """rows: those that go on, ascending; one that was drawn twice stands there twice. reasons: by dropped row."""

    rows: list[int]
    reasons: dict[int, str] = field(default_factory=dict)


def step_at(progress: float, steps: int) -> int | None:
    """The first step after which at least ``progress`` of ``steps`` are done; None when there are no steps."""
    return max(0, math.ceil(progress * steps - 1e-9) - 1) if steps else None


def symmetric_distance(
    images: torch.Tensor, symmetries: Sequence[Symmetry], shifts: bool = False, background: float = -1.0
) -> torch.Tensor:
    """The root-mean-square difference of every two images after the best symmetry, ``[N, N]``, on the CPU.

    Rows with NaN have NaN distances.

    Args:
        images: ``[N, C, H, W]`` in [-1, 1].
        symmetries: of the operator; the identity alone gives the plain distance.
        shifts: also after the best shift by whole pixels, ``background`` coming in from the border.
        background: the image value whose signal is zero.
    """
    images = images.cpu().double() - background  # once a run, and energies minus overlaps cancel
    spectrum = _spectrum(images) if shifts else None
    best: torch.Tensor | None = None
    for symmetry in symmetries:
        moved = symmetry(images + background) - background
        if spectrum is None:
            squared = torch.stack([(row - images).square().flatten(1).mean(1) for row in moved])
        else:
            energy = images.square().flatten(1).sum(1)
            overlap = torch.stack([_largest_overlap(row, spectrum, images.shape) for row in _spectrum(moved)])
            squared = (energy[:, None] + energy[None, :] - 2 * overlap) / images[0].numel()
        best = squared if best is None else torch.minimum(best, squared)
    # A symmetry need not be its own inverse to rounding.
    best = torch.minimum(best, best.T).clamp_min(0)
    return best.sqrt().fill_diagonal_(0.0)


def prune(
    residual: torch.Tensor,
    images: torch.Tensor,
    options: PruningOptions,
    symmetries: Sequence[Symmetry] = (),
    shifts: bool = False,
    background: float = -1.0,
    uniform: float = 0.5,
) -> Pruned:
    """Choose the particles that go on.

    Args:
        residual: L ``[N]``; a particle with a non-finite one is dropped before any other.
        images: decoded particles ``[N, C, H, W]`` in [-1, 1].
        options: see :class:`PruningOptions`.
        symmetries: exact symmetries of the measurement, identity first; none gives plain distances.
        shifts, background: see :func:`symmetric_distance`.
        uniform: the one random number of "resample", in [0, 1).
    """
    losses = residual.double().tolist()
    count, keep = len(losses), options.keep
    if keep == 0 or keep >= count:
        return Pruned(list(range(count)))
    finite = [k for k in range(count) if math.isfinite(losses[k])]
    broken = [k for k in range(count) if not math.isfinite(losses[k])]
    reasons = dict.fromkeys(broken, "not finite")
    if options.mode == "resample" and finite:
        drawn = _resample([losses[k] for k in finite], keep, options.effective_share * len(finite), uniform)
        rows = [finite[k] for k in drawn]
        reasons |= {k: "not drawn" for k in finite if k not in rows}
        return Pruned(sorted(rows), reasons)

    order = sorted(finite, key=losses.__getitem__)
    if options.mode == "diverse" and order:
        modulo = symmetric_distance(images, (IDENTITY,), False, background)
        plain = modulo
        if len(symmetries) > 1 or shifts:
            modulo = symmetric_distance(images, symmetries or (IDENTITY,), shifts, background)
        rows = _diverse(order, losses, modulo, plain, options)
    else:
        modulo, rows = None, order[:keep]
    rows = (rows + broken)[:keep]
    for k in order:
        if k not in rows:
            reasons[k] = _reason(k, rows, losses, modulo, options)
    return Pruned(sorted(rows), {k: reasons[k] for k in sorted(reasons) if k not in rows})


def _diverse(
    order: list[int], losses: list[float], modulo: torch.Tensor, plain: torch.Tensor, options: PruningOptions
) -> list[int]:
    """Up to K rows: the best, then other pictures, then other orientations, then whoever is left, each by residual."""
    near, limit = _duplicate_distance(options), (1 + options.tolerance) * losses[order[0]]
    rows = [order[0]]
    for distance in (modulo, plain):
        for k in order:
            fits = k not in rows and losses[k] <= limit
            if len(rows) < options.keep and fits and float(distance[k, rows].min()) > near:
                rows.append(k)
    return rows + [k for k in order if k not in rows][: options.keep - len(rows)]


def _reason(k: int, rows: list[int], losses: list[float], modulo: torch.Tensor | None, options: PruningOptions) -> str:
    """Why row k, which is finite, is not among ``rows``: a duplicate, or too large a residual."""
    best = min(losses[row] for row in rows)
    if modulo is not None:
        twin = min(rows, key=lambda row: float(modulo[k, row]))
        if float(modulo[k, twin]) <= _duplicate_distance(options):
            return f"duplicate of {twin}"
    return f"residual {losses[k] / best:.2f} times the best" if best > 0 else "larger residual"


def _resample(losses: list[float], keep: int, effective: float, uniform: float) -> list[int]:
    """``keep`` places by systematic resampling with tempered weights of an effective size of ``effective``."""
    offset = torch.tensor(losses, dtype=torch.float64)
    offset = offset - offset.min()
    weights = _tempered(offset, effective)
    points = (torch.arange(keep, dtype=torch.float64) + uniform) / keep
    return torch.searchsorted(weights.cumsum(0), points).clamp_max(len(losses) - 1).tolist()


def _tempered(offset: torch.Tensor, effective: float) -> torch.Tensor:
    """exp(-beta · offset), normalised, with beta such that the effective sample size is ``effective``."""
    low, high = 0.0, 1.0

    def at(beta: float) -> torch.Tensor:
        return torch.softmax(-beta * offset, 0)

    def size(beta: float) -> float:
        return float(1 / at(beta).square().sum())

    scale = float(offset.max())
    if scale == 0:
        return at(0.0)
    high = 1 / scale
    while size(high) > max(effective, 1.0) and high * scale < 1e12:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if size(middle) > max(effective, 1.0) else (low, middle)
    return at(low)


def _duplicate_distance(options: PruningOptions) -> float:
    """``duplicate_psnr`` as a distance of images in [-1, 1], whose peak-to-peak range is 2."""
    return 2 * 10 ** (-options.duplicate_psnr / 20)


def _spectrum(images: torch.Tensor) -> torch.Tensor:
    """Fourier transforms in a frame twice as large, in which a shift does not wrap around."""
    height, width = images.shape[-2:]
    return torch.fft.rfft2(images, s=(2 * height, 2 * width))


def _largest_overlap(row: torch.Tensor, spectrum: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """max over shifts of <shifted row, image> for every image, ``[N]``."""
    frame = (2 * shape[-2], 2 * shape[-1])
    correlation = torch.fft.irfft2((row.conj() * spectrum).sum(1), s=frame)
    return correlation.flatten(1).amax(1)
