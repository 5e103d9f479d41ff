r"""From a detector's array to a measurement: axes, zero frequency, dead pixels, units, colours, size of the image.

The steps, in this order: axes to C×H×W; dead pixels into the mask; zero frequency to the middle; intensities to
amplitudes; grey data to the operator that averages channels; size; units; noise, where it is to be estimated; the kind
of values that the operator works with.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import torch

from ..measurement import Measurement
from ..noise import estimate_sigma
from ..phase_retrieval import PhaseRetrieval
from .read_options import ReadOptions

__all__ = ["bring_to_operator", "to_pattern"]

logger = logging.getLogger(__name__)


def to_pattern(
    values: np.ndarray, mask: np.ndarray | None, options: ReadOptions
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """``values`` as a centred pattern ``[C, h, w]``, and its mask (1 = valid), None when every pixel counts."""
    if values.dtype.kind not in "biuf":
        kind = "complex" if values.dtype.kind == "c" else f"of type {values.dtype}"
        raise ValueError(f"the array is {kind}; a detector records real amplitudes or intensities, so save those.")
    with np.errstate(over="ignore"):  # what becomes infinite is refused below
        y = torch.from_numpy(np.array(values, dtype=np.float32, order="C"))
    y = _channels_first(y, options.layout)
    valid = torch.ones_like(y, dtype=torch.bool)
    if mask is not None:
        valid = _same_layout(mask, y, options)
    if options.nan_is_dead:
        valid = valid & torch.isfinite(y)
    if options.negative_is_dead:
        valid = valid & ~(y < 0)
    wrong = ~torch.isfinite(y) & valid
    if bool(wrong.any()):
        raise ValueError(
            f"the array holds {int(wrong.sum())} NaN or infinite values; switch on nan_is_dead, or mask those pixels."
        )
    if not bool(valid.any()):
        raise ValueError("every pixel is masked as dead; check mask_meaning and the mask.")
    y = torch.where(valid, y, torch.zeros_like(y))
    y, valid = _centre(y, valid, options)
    return y, None if bool(valid.all()) else valid


def bring_to_operator(
    y: torch.Tensor, mask: torch.Tensor | None, operator: PhaseRetrieval, options: ReadOptions
) -> Measurement:
    """A pattern ``[C, h, w]`` as a measurement of ``operator``, which is adapted to the data's size and channels."""
    _refuse_marks(y)
    amplitude = y if options.values == "amplitude" else _root(y, operator.clip_negative)
    operator = _fit_channels(operator, y.shape[0])
    operator, image_shape = _fit_size(operator, tuple(y.shape[-2:]), options.image_shape)
    amplitude = amplitude * _scale(amplitude, options.scale, image_shape, operator)
    if options.estimate_noise:
        sigma = estimate_sigma(amplitude[None], None if mask is None else mask[None].float())
        logger.info("noise_sigma estimated from the data: %.4g", sigma)
        operator = replace(operator, noise_sigma=sigma)
    lowest = float(amplitude.min())
    if lowest < -8 * operator.noise_sigma:
        raise ValueError(
            f"amplitudes go down to {lowest:.3g}, which noise of sigma {operator.noise_sigma:.3g} cannot explain; "
            "check the array and noise_sigma, or switch on negative_is_dead."
        )
    if operator.clip_negative or operator.noise == "poisson":
        amplitude = amplitude.clamp_min(0)
    values = amplitude if operator.kind == "amplitude" else amplitude.square()
    return Measurement(values[None], operator, None if mask is None else mask[None], image_shape)


def _channels_first(y: torch.Tensor, layout: str) -> torch.Tensor:
    axes = {"HxW": 2, "HxWxC": 3, "CxHxW": 3}.get(layout)
    while y.ndim > (axes or 3) and y.shape[0] == 1:  # a batch axis, or a stack of one
        y = y[0]
    if layout == "auto":
        first, last = y.ndim == 3 and y.shape[0] in (1, 3), y.ndim == 3 and y.shape[-1] in (1, 3)
        if y.ndim == 3 and first == last:
            raise ValueError(
                f"the array has shape {list(y.shape)}, which could be read in more than one way or in none; "
                "set layout, or frame if it is a stack."
            )
        layout = "HxW" if y.ndim == 2 else "CxHxW" if first else "HxWxC"
        axes = y.ndim
    if y.ndim != axes or y.ndim not in (2, 3):
        raise ValueError(
            f"the array has shape {list(y.shape)}, which is not {layout}; set layout, or frame if it is a stack."
        )
    y = y[None] if layout == "HxW" else y.movedim(-1, 0) if layout == "HxWxC" else y
    if y.shape[0] not in (1, 3):
        raise ValueError(f"the array has {y.shape[0]} channels; a measurement has 1 (grey) or 3 (red, green, blue).")
    if min(y.shape[-2:]) < 2:
        raise ValueError(f"the array has shape {list(y.shape)}; a pattern needs at least 2 rows and 2 columns.")
    return y


def _same_layout(mask: np.ndarray, y: torch.Tensor, options: ReadOptions) -> torch.Tensor:
    if mask.dtype.kind not in "biuf":
        raise ValueError(f"the mask is of type {mask.dtype}; it must hold numbers or true and false.")
    if mask.dtype.kind == "f" and bool(np.isnan(mask).any()):
        raise ValueError("the mask holds NaN; it must hold 1 and 0, or true and false.")
    marked = torch.from_numpy(np.array(mask != 0, order="C"))
    marked = marked[None] if marked.ndim == 2 else _channels_first(marked, options.layout)
    if marked.shape[-2:] != y.shape[-2:] or marked.shape[0] not in (1, y.shape[0]):
        raise ValueError(f"the mask has shape {list(mask.shape)}, which does not fit the pattern's {list(y.shape)}.")
    valid = marked if options.mask_meaning == "1 is valid" else ~marked
    return valid.expand_as(y)


def _centre(y: torch.Tensor, valid: torch.Tensor, options: ReadOptions) -> tuple[torch.Tensor, torch.Tensor]:
    """Move zero frequency to index (h // 2, w // 2)."""
    where = options.zero_frequency
    if where == "auto":
        where = "centre" if any(b is not None for b in options.beam) or _is_centred(y) else "corner"
    if where == "corner":
        return torch.fft.fftshift(y, dim=(-2, -1)), torch.fft.fftshift(valid, dim=(-2, -1))
    for axis, beam in zip((-2, -1), options.beam, strict=True):
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


def _refuse_marks(y: torch.Tensor) -> None:
    """Raise when negative values are not noise but a detector's way of marking dead pixels: -1 or -2 everywhere."""
    marks = y[y < 0].unique()
    if 0 < marks.numel() <= 2 and bool((marks == marks.round()).all()):
        found = " or ".join(f"{mark:g}" for mark in marks.tolist())
        raise ValueError(
            f"{int((y < 0).sum())} pixels hold exactly {found}, which looks like a detector's mark for dead pixels; "
            "switch on negative_is_dead."
        )


def _root(intensity: torch.Tensor, clip: bool) -> torch.Tensor:
    if not clip and bool((intensity < 0).any()):
        raise ValueError(
            "some intensities are negative, so they have no amplitude; switch on clip_negative of the operator, or "
            "negative_is_dead."
        )
    return intensity.clamp_min(0).sqrt()


def _fit_channels(operator: PhaseRetrieval, channels: int) -> PhaseRetrieval:
    if channels == 1 and operator.channels == "separate":
        logger.info("the data have one channel: the image's channels are averaged, colours come from the model alone.")
        return replace(operator, channels="mean")
    if channels == 3 and operator.channels == "mean":
        raise ValueError("the data have three channels; set channels of the operator to separate.")
    return operator


def _fit_size(
    operator: PhaseRetrieval, detector: tuple[int, int], image_shape: tuple[int, int] | None
) -> tuple[PhaseRetrieval, tuple[int, int]]:
    """The image's size, and the operator told the detector's size where oversampling does not give just that."""
    if image_shape is None:
        image_shape = replace(operator, detector=None).image_shape(detector)
    if replace(operator, detector=None).measurement_shape(image_shape)[1:] == detector:
        return replace(operator, detector=None), image_shape
    operator = operator.for_detector(detector)
    operator.measurement_shape(image_shape)  # raises when the image does not fit on the detector
    return operator, image_shape


def _scale(amplitude: torch.Tensor, scale: float, image_shape: tuple[int, int], operator: PhaseRetrieval) -> float:
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
    noise = amplitude.numel() * operator.noise_sigma**2
    if energy * scale**2 > 1.1 * pixels + 2 * noise:
        raise ValueError(
            f"the data hold {energy * scale**2 / pixels:.3g} times the signal of the brightest possible image; set "
            f"scale to 0 (automatic) or to about {automatic:.3g}."
        )
    return scale
