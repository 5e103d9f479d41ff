r"""A detector's diffraction pattern: its middle, its dead pixels' marks, its units.

What :meth:`PhaseRetrieval.from_recording` needs to know of patterns, whatever the operator's settings.
"""

from __future__ import annotations

import torch

from .recording import ReadOptions

__all__ = ["centred", "refuse_marks", "root", "scale_of"]


def centred(
    y: torch.Tensor, mask: torch.Tensor | None, options: ReadOptions
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """A pattern ``[C, h, w]`` with zero frequency at index (h // 2, w // 2), and its mask (1 = valid)."""
    valid = torch.ones_like(y, dtype=torch.bool) if mask is None else mask
    where = options.zero_frequency
    if where == "auto":
        where = "centre" if any(b is not None for b in options.beam) or _is_centred(y) else "corner"
    if where == "corner":
        y, valid = torch.fft.fftshift(y, dim=(-2, -1)), torch.fft.fftshift(valid, dim=(-2, -1))
    else:
        y, valid = _beam_to_the_middle(y, valid, options.beam)
    return y, None if bool(valid.all()) else valid


def _beam_to_the_middle(
    y: torch.Tensor, valid: torch.Tensor, beams: tuple[int | None, int | None]
) -> tuple[torch.Tensor, torch.Tensor]:
    for axis, beam in zip((-2, -1), beams, strict=True):
        if beam is None:
            continue
        size = y.shape[axis]
        if beam >= size:
            raise ValueError(f"beam_{'row' if axis == -2 else 'column'} is {beam}, but the pattern has {size}.")
        shift = size // 2 - beam
        y, valid = y.roll(shift, axis), valid.roll(shift, axis)
        # What came around the edge was recorded at the other end of the detector: it is no datum of this frequency.
        index = torch.arange(size)
        came_around = index < shift if shift > 0 else index >= size + shift
        came_around = came_around[:, None] if axis == -2 else came_around[None, :]
        y, valid = y.masked_fill(came_around, 0), valid & ~came_around
    return y, valid


def _is_centred(y: torch.Tensor) -> bool:
    """More signal in the middle quarter of the array than in the four corners that would make up the same quarter."""
    shifted = torch.fft.fftshift(y, dim=(-2, -1))
    rows, columns = (slice(n // 4, n // 4 + (n + 1) // 2) for n in y.shape[-2:])
    return bool(y[:, rows, columns].abs().sum() >= shifted[:, rows, columns].abs().sum())


def refuse_marks(y: torch.Tensor) -> None:
    """Raise when negative values are not noise but a detector's way of marking dead pixels: -1 or -2 everywhere."""
    marks = y[y < 0].unique()
    if 0 < marks.numel() <= 2 and bool((marks == marks.round()).all()):
        found = " or ".join(f"{mark:g}" for mark in marks.tolist())
        raise ValueError(
            f"{int((y < 0).sum())} pixels hold exactly {found}, which looks like a detector's mark for dead pixels; "
            "switch on negative_is_dead."
        )


def root(intensity: torch.Tensor, clip: bool) -> torch.Tensor:
    """The amplitudes of recorded intensities; noise below 0 becomes 0 where the operator clips."""
    if not clip and bool((intensity < 0).any()):
        raise ValueError(
            "some intensities are negative, so they have no amplitude; switch on clip_negative of the operator, or "
            "negative_is_dead."
        )
    return intensity.clamp_min(0).sqrt()


def scale_of(amplitude: torch.Tensor, scale: float, image_shape: tuple[int, int], noise_sigma: float) -> float:
    """The factor on the amplitudes, after a look at the total signal.

    Parseval: the sum of |F|² is that of u², at most one per pixel of the image, since |u| <= 1.
    """
    energy = float(amplitude.double().square().sum())
    if energy == 0:
        raise ValueError("every valid value is 0; check the array's name and the mask.")
    pixels = amplitude.shape[0] * image_shape[0] * image_shape[1]
    automatic = (0.25 * pixels / energy) ** 0.5
    if scale == 0:
        return automatic
    noise = amplitude.numel() * noise_sigma**2
    if energy * scale**2 > 1.1 * pixels + 2 * noise:
        raise ValueError(
            f"the data hold {energy * scale**2 / pixels:.3g} times the signal of the brightest possible image; set "
            f"scale to 0 (automatic) or to about {automatic:.3g}."
        )
    return scale
