r"""Fourier phase retrieval: an image from the amplitudes of its diffraction pattern, the phases being lost.

.. math:: A(x) = |F(\mathrm{pad}(u))|, \qquad u = (x + 1)/2 \in [0, 1]

with F the centred orthonormal transform of each channel. "Oversample r" means int(r/8 · n) zeros on every side of n
pixels, so that r = 2 is 1.5 samples per pixel and axis. This definition is that of DAPS (arXiv 2407.01521 and its
code); DPS (arXiv 2209.14687) keeps u = x in [-1, 1], which makes the signal twice as large at the same noise. Results
under the two cannot be compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

import torch

from .fourier import centred_fft2, zero_pad
from .measurement import Measurement
from .noise import GaussianNoise, NoiseModel, PoissonNoise
from .operator import Operator, check_image
from .symmetry import Symmetry, phaseless_symmetries

__all__ = ["PRESETS", "PhaseRetrieval"]

KINDS = ("amplitude", "intensity")
SIGNAL_RANGES = ("0..1", "-1..1")
NOISES = ("gaussian", "poisson")
CHANNELS = ("separate", "mean")


@dataclass(frozen=True)
class PhaseRetrieval(Operator):
    """Amplitudes (or intensities) of the zero-padded image's Fourier transform.

    Args:
        oversample: r of the definition above; 2 is what papers report. Below about 2 (1.5 samples per axis) the
            problem has many solutions.
        noise_sigma: standard deviation of the noise on y; with Poisson noise, that of a recorded amplitude at many
            counts (0.05 is 100 counts per unit of intensity).
        signal_range: ``0..1`` (DAPS) or ``-1..1`` (DPS): what an image in [-1, 1] becomes before the transform.
        clip_negative: set noisy values below 0 to 0, as an instrument would; off to replicate published runs.
        kind: y is the ``amplitude`` |F| or the ``intensity`` |F|².
        noise: ``gaussian`` or ``poisson`` (photon counts).
        channels: ``separate`` measures each channel; ``mean`` measures the grey image (the mean over the channels),
            which is what a detector without colours does.
        detector: (h, w) of y where it does not follow from ``oversample`` (a detector of one's own).

    Raises:
        ValueError: a setting outside its range.

    >>> operator = PhaseRetrieval(oversample=2.0, noise_sigma=0.05)
    >>> white = torch.ones(1, 3, 8, 8)
    >>> y = operator(white)
    >>> y.shape, y[0, 0, 6, 6].item()  # zero frequency: 64 pixels of 1, over sqrt(12 · 12)
    (torch.Size([1, 3, 12, 12]), 5.333333492279053)
    >>> measurement = operator.measure(white, seed=0)
    >>> measurement.count, measurement.image_shape
    (432, (8, 8))
    """

    oversample: float = 2.0
    noise_sigma: float = 0.05
    signal_range: str = "0..1"
    clip_negative: bool = True
    kind: str = "amplitude"
    noise: str = "gaussian"
    channels: str = "separate"
    detector: tuple[int, int] | None = None

    shift_symmetric = True  # not annotated: a fact about the operator, not a setting

    def __post_init__(self) -> None:
        for name, allowed in (
            ("signal_range", SIGNAL_RANGES),
            ("kind", KINDS),
            ("noise", NOISES),
            ("channels", CHANNELS),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(allowed)}.")
        if not (math.isfinite(self.oversample) and self.oversample >= 0):
            raise ValueError(f"oversample is {self.oversample}; it must be 0 (no padding) or more, usually 2.")
        if not (math.isfinite(self.noise_sigma) and self.noise_sigma >= 0):
            raise ValueError(f"noise_sigma is {self.noise_sigma}; it must be 0 or more.")
        if self.detector is not None and not (len(self.detector) == 2 and min(self.detector) >= 1):
            raise ValueError(f"detector is {self.detector}; it must be (rows, columns), each 1 or more.")
        if self.noise == "poisson" and self.noise_sigma == 0:
            raise ValueError("noise_sigma is 0, which means infinitely many counts; use gaussian noise for no noise.")

    # -- the operator ------------------------------------------------------------------------------------------------

    def object(self, image: torch.Tensor) -> torch.Tensor:
        """u, what is transformed: ``[N, 3, H, W]`` in [-1, 1] to ``[N, C, H, W]`` in the signal range."""
        image = check_image(image)
        u = image * 0.5 + 0.5 if self.signal_range == "0..1" else image
        return u if self.channels == "separate" else u.mean(1, keepdim=True)

    def image(self, u: torch.Tensor) -> torch.Tensor:
        """An image ``[N, 3, H, W]`` whose :meth:`object` is ``u`` (the grey one when channels are averaged)."""
        image = u * 2 - 1 if self.signal_range == "0..1" else u
        return image if self.channels == "separate" else image.expand(-1, 3, -1, -1)

    def spectrum(self, u: torch.Tensor) -> torch.Tensor:
        """F(pad(u)), complex, ``[N, C, h, w]``."""
        return centred_fft2(zero_pad(u, self.measurement_shape(tuple(u.shape[-2:]))[1:]))

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        spectrum = self.spectrum(self.object(image))
        if self.kind == "intensity":
            return spectrum.real.square() + spectrum.imag.square()
        return spectrum.abs()  # torch takes the gradient of |z| at z = 0 as 0, the middle of its subgradients

    # -- shapes ------------------------------------------------------------------------------------------------------

    def measurement_shape(self, image_shape: tuple[int, int]) -> tuple[int, int, int]:
        shape = self.detector or tuple(self._padded(n) for n in image_shape)
        if shape[0] < image_shape[0] or shape[1] < image_shape[1]:
            raise ValueError(
                f"the image is {image_shape[0]}×{image_shape[1]}, larger than the detector's {shape[0]}×{shape[1]}; "
                "use a smaller image."
            )
        return (3 if self.channels == "separate" else 1, *shape)

    def image_shape(self, detector_shape: tuple[int, int]) -> tuple[int, int]:
        return tuple(self._unpadded(size) for size in detector_shape)

    def _padded(self, n: int) -> int:
        return n + 2 * int(self.oversample / 8 * n)

    def _unpadded(self, size: int) -> int:
        fitting = [n for n in range(1, size + 1) if self._padded(n) == size]
        if not fitting:
            raise ValueError(
                f"no image has a pattern of {size} pixels at oversample {self.oversample:g}; give the image's size."
            )
        return fitting[0]

    # -- noise -------------------------------------------------------------------------------------------------------

    @property
    def noise_model(self) -> NoiseModel:
        """How y scatters around A(x)."""
        if self.noise == "poisson":
            return PoissonNoise(self.noise_sigma, self.kind)
        return GaussianNoise(self.noise_sigma, self.clip_negative)

    def measure(self, image: torch.Tensor, seed: int) -> Measurement:
        """Simulate an experiment on one image ``[1, 3, H, W]``.

        The noise floor is estimated from y, as for real data: a simulated measurement knows no more than a real one.
        """
        image = check_image(image)
        if image.shape[0] != 1:
            raise ValueError(
                f"image holds {image.shape[0]} images; a measurement is of one (particles come from the latent batch), "
                "so pick one, for example with ImageFromBatch."
            )
        if not bool(torch.isfinite(image).all()):
            raise ValueError("image holds NaN or infinity; check the node that made it.")
        with torch.no_grad():
            y = self.noise_model.draw(self(image), torch.Generator().manual_seed(seed))
        return Measurement(y, self, image_shape=tuple(image.shape[-2:]))

    def noise_floor(
        self, truth: torch.Tensor | None = None, *, y: torch.Tensor | None = None, mask: torch.Tensor | None = None
    ) -> float:
        if (truth is None) == (y is None):
            raise ValueError("noise_floor needs either the truth or y, not both and not neither.")
        with torch.no_grad():
            if truth is not None:
                squares = self.noise_model.expected_square(self(truth.double()))
                return float((squares if mask is None else squares * mask).sum())
            return self.noise_model.floor_from_data(y if mask is None else y[mask.expand_as(y) > 0])

    # -- what it cannot see ------------------------------------------------------------------------------------------

    @property
    def symmetries(self) -> tuple[Symmetry, ...]:
        return phaseless_symmetries(3, signed=self.signal_range == "-1..1", separate=self.channels == "separate")

    @property
    def background(self) -> float:
        """The image value whose signal is 0: black for ``0..1``, middle grey for ``-1..1``."""
        return -1.0 if self.signal_range == "0..1" else 0.0

    # -- files -------------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        return {"operator": "phase_retrieval", **asdict(self)}

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> PhaseRetrieval:
        """The inverse of :meth:`to_dict`."""
        known = {name: settings[name] for name in cls.__dataclass_fields__ if name in settings}
        if known.get("detector") is not None:
            known["detector"] = tuple(known["detector"])
        return cls(**known)

    def for_detector(self, shape: tuple[int, int]) -> PhaseRetrieval:
        """The same operator with y of (h, w), whatever the oversampling."""
        return replace(self, detector=(int(shape[0]), int(shape[1])))


#: As published: noise may make amplitudes negative. (DPS's paper adds this Gaussian noise; its repository's
#: configuration file has Poisson noise instead.)
PRESETS: Mapping[str, PhaseRetrieval] = MappingProxyType(
    {
        "daps": PhaseRetrieval(2.0, 0.05, "0..1", clip_negative=False),
        "dps": PhaseRetrieval(2.0, 0.05, "-1..1", clip_negative=False),
    }
)
