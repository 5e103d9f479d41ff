r"""The quality table: every particle against the truth, raw and aligned, and what was chosen by whom.

Four numbers that are easily confused, so the table always has all four:

* raw: the particle as it is. A perfect twin of the object scores badly here.
* aligned: after the best transform that the measurement cannot see (``alignment.py``).
* oracle: the best of N, picked by looking at the truth. Papers report it; nobody can do it with real data.
* blind: the particle picked without the truth, which anybody can: by its residual, or as the run itself chose.

Beside them stand what a flat image of the mean colour scores, and each residual in units of the noise floor (about 1 at
the truth; far above: not a solution; far below: noise was fitted).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from .alignment import Ambiguous, align
from .images import check_pair, finite_rows, unit_range
from .perceptual import SMALLEST_IMAGE, Distance
from .psnr import flat_image_psnr, psnr
from .ssim import WINDOW, ssim
from .table import ParticleQuality, QualityTable, Scores

__all__ = ["quality_table"]

#: Success: more than this many dB aligned, and this many more than a flat image; a second, harder figure beside it.
SUCCESS_DB, SUCCESS_ABOVE_FLAT_DB, HIGH_SUCCESS_DB = 20.0, 5.0, 25.0
#: Residuals that a run recorded count as those of the images when they agree with them up to this share: decoding the
#: same latent twice differs by less, also in half precision.
SAME_RESIDUAL = 0.01

WITHOUT_LPIPS = "LPIPS is left out: see the notice on Compare To Reference (it comes once) or its help page."


class Measured(Protocol):
    """``operators.Measurement``, as far as it is needed here."""

    operator: Ambiguous
    noise_floor: float

    def residual(self, image: torch.Tensor) -> torch.Tensor: ...


def quality_table(
    images: torch.Tensor,
    reference: torch.Tensor,
    measurement: Measured,
    lpips: Distance | None = None,
    choose: Callable[[torch.Tensor], int] | None = None,
    names: Sequence[int] | None = None,
    recorded: Sequence[float] | None = None,
    chosen: int | None = None,
) -> QualityTable:
    """Compare particles with the truth.

    Args:
        images: particles ``[N, 3, H, W]`` in [-1, 1]; clamped for the picture metrics, as a saved picture is, and taken
            as they are for the residual.
        reference: the truth ``[1, 3, H, W]`` in [-1, 1].
        measurement: what was measured of it.
        lpips: from :func:`load_lpips`.
        choose: residuals ``[N]`` to the particle chosen blind; the smallest finite residual if None.
        names: what the particles were called in the run, where some were pruned; 0, 1, 2 ... if None.
        recorded: residuals that the run noted of what it returned. They are used when these images are what it returned
            (their own residuals agree), so that the choice is the run's; else a note says that they are not.
        chosen: the row that the run chose, by more than the residual; it holds when these are the run's images. None
            for a run that left it to the residuals.

    Raises:
        ValueError: sizes that do not fit, more than one reference, or a reference with NaN.
    """
    _check_reference(reference)
    images, reference = check_pair(images, reference)
    finite = finite_rows(images)
    residual = _residuals(measurement, images, finite)
    notes: list[str] = []
    known = None if recorded is None else _agreed(residual, recorded, notes)
    residual = residual if known is None else known
    blind, blind_by = (choose or _smallest)(residual), "residual"
    if known is not None and chosen is not None:
        blind, blind_by = chosen, "run"
    pictures, truth = images.clamp(-1, 1), reference.clamp(-1, 1)
    aligned = align(pictures, truth, measurement.operator)
    per_channel = align(pictures, truth, measurement.operator, group="per_channel")

    scores = []
    for batch in (pictures, aligned.images, per_channel.images):
        scores.append(_score(unit_range(batch), unit_range(truth), finite, lpips, notes))
    flat = float(flat_image_psnr(unit_range(truth)))
    floor = float(measurement.noise_floor)
    rows = []
    for k, (raw, best, by_channel) in enumerate(zip(*scores, strict=True)):
        above_flat = best.psnr > flat + SUCCESS_ABOVE_FLAT_DB
        rows.append(
            ParticleQuality(
                particle=k if names is None else names[k],
                finite=bool(finite[k]),
                raw=raw,
                aligned=best,
                symmetry=aligned.labels[k],
                aligned_per_channel=by_channel,
                symmetry_per_channel=per_channel.labels[k],
                residual=float(residual[k]),
                residual_ratio=float(residual[k]) / floor if floor > 0 else None,
                success=best.psnr > SUCCESS_DB and above_flat,
                success_25=best.psnr > HIGH_SUCCESS_DB,
            )
        )
    return QualityTable(
        rows=tuple(rows),
        oracle=_largest([row.aligned.psnr for row in rows]),
        oracle_raw=_largest([row.raw.psnr for row in rows]),
        blind=blind,
        flat_psnr=flat,
        noise_floor=floor,
        truth_residual=float(measurement.residual(reference)),
        notes=tuple(dict.fromkeys(notes)),
        aligned_images=unit_range(aligned.images),
        blind_by=blind_by,
    )


def _check_reference(reference: torch.Tensor) -> None:
    if isinstance(reference, torch.Tensor) and reference.ndim == 4:
        if len(reference) > 1:
            raise ValueError(
                f"the reference holds {len(reference)} images, but a measurement is of one; pick the measured one, "
                "for example with ImageFromBatch."
            )
        if not bool(reference.isfinite().all()):
            raise ValueError("the reference holds NaN or infinity; check the node that made it.")


def _residuals(measurement: Measured, images: torch.Tensor, finite: torch.Tensor) -> torch.Tensor:
    """``[N]``; NaN for rows that are not finite, which never reach the operator."""
    residual = torch.full((len(images),), math.nan, dtype=images.dtype, device=images.device)
    with torch.no_grad():
        if bool(finite.any()):
            residual[finite] = measurement.residual(images[finite]).to(residual)
    return residual


def _agreed(residual: torch.Tensor, recorded: Sequence[float], notes: list[str]) -> torch.Tensor | None:
    """The recorded residuals where they are those of these images, else None, and a note."""
    if len(recorded) != len(residual):
        notes.append(
            f"The run returned {len(recorded)} particles, but these are {len(residual)} images: their residuals were "
            "computed anew."
        )
        return None
    known = torch.tensor(recorded, dtype=residual.dtype, device=residual.device)
    if bool(torch.isclose(known, residual, rtol=SAME_RESIDUAL, atol=0.0, equal_nan=True).all()):
        return known
    notes.append("These images are not what the run returned: their residuals were computed anew.")
    return None


def _smallest(residual: torch.Tensor) -> int:
    return int(torch.where(residual.isfinite(), residual, math.inf).argmin())


def _largest(values: list[float]) -> int:
    """The first of the largest; NaN loses against everything."""
    return max(range(len(values)), key=lambda k: -math.inf if math.isnan(values[k]) else values[k])


def _score(
    images: torch.Tensor, truth: torch.Tensor, finite: torch.Tensor, lpips: Distance | None, notes: list[str]
) -> list[Scores]:
    """Scores per row; what cannot be computed at this size is None, and ``notes`` is told why."""
    count, smallest = len(images), min(images.shape[-2:])
    similarity: list[float | None] = [None] * count
    distance: list[float | None] = [None] * count
    if smallest >= WINDOW:
        similarity = ssim(images, truth).tolist()
    else:
        notes.append(f"SSIM needs images of at least {WINDOW} pixels each way.")
    if lpips is None:
        notes.append(WITHOUT_LPIPS)
    elif smallest < SMALLEST_IMAGE:
        notes.append(f"LPIPS needs images of at least {SMALLEST_IMAGE} pixels each way.")
    else:
        distance = [math.nan] * count
        rows = finite.nonzero().flatten().tolist()
        if rows:
            for k, value in zip(rows, lpips(images[rows], truth).tolist(), strict=True):
                distance[k] = value
    return [Scores(*row) for row in zip(psnr(images, truth).tolist(), similarity, distance, strict=True)]
