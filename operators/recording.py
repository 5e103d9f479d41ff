"""What a recording is to be understood as: options for arrays that somebody else's instrument or program wrote."""

from __future__ import annotations

from dataclasses import dataclass

from ..diffusion.options import Options, option

__all__ = ["QUANTITIES", "ReadOptions"]

#: What recorded values can be.
QUANTITIES = ("amplitude", "intensity")


@dataclass(frozen=True)
class ReadOptions(Options):
    """How somebody's array is to be understood.

    beam: (row, column) of the pattern's middle when it is neither; None for the usual place of that axis. The pattern
        is moved, and rows and columns for which there are no data are masked.
    image_shape: (H, W) of the image; None asks the operator.
    frame: which pattern of a stack (the first axis) to take, from 0; None when the array is one pattern.
    """

    array: str = option(
        "",
        "Name of the array inside the file (HDF5: group/name). Empty: the file's only array, or one with a usual name "
        "such as y or data.",
    )
    values: str = option(
        "amplitude",
        "What the file holds; a detector that counts photons gives intensities. Converted to what the operator works "
        "with.",
        choices=QUANTITIES,
    )
    layout: str = option(
        "auto",
        "Order of the array's axes: rows (H), columns (W), channels (C). auto: by the position of an axis of length 1 "
        "or 3.",
        choices=("auto", "HxW", "HxWxC", "CxHxW"),
        advanced=True,
    )
    zero_frequency: str = option(
        "auto",
        "Where the bright middle of the pattern lies in the array: centre (a detector's picture) or corner (an FFT "
        "that was not shifted). auto: where most of the signal is.",
        choices=("auto", "centre", "corner"),
        advanced=True,
    )
    beam: tuple[int | None, int | None] = (None, None)
    scale: float = option(
        1.0,
        "Factor on the amplitudes, to bring a detector's units to those of an image in the signal range. 0: "
        "automatic, from the total signal, for an object of medium brightness.",
        minimum=0.0,
        maximum=1e12,
        step=0.001,
    )
    image_shape: tuple[int, int] | None = None
    mask_array: str = option(
        "",
        "Name of the array in the same file that tells valid pixels from dead ones. Empty: one called mask, if there "
        "is one.",
        advanced=True,
    )
    mask_meaning: str = option(
        "1 is valid",
        "What the mask's values mean; conventions differ.",
        choices=("1 is valid", "1 is dead"),
        advanced=True,
    )
    nan_is_dead: bool = option(False, "Treat NaN and infinity as dead pixels. Off: they are an error.", advanced=True)
    negative_is_dead: bool = option(
        False,
        "Treat negative values as dead pixels (many detectors write -1 there). Off: they are noise, which "
        "clip_negative of the operator deals with.",
        advanced=True,
    )
    frame: int | None = None
    estimate_noise: bool = option(
        False,
        "Measure noise_sigma from the data: points opposite each other must be equal for a real object, so their "
        "difference is noise. Off: the operator's noise_sigma.",
        advanced=True,
    )
