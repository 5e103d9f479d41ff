r"""Fourier phase retrieval: an image from the amplitudes of its diffraction pattern, the phases being lost.

.. math:: A(x) = |F(\mathrm{pad}(u))|, \qquad u = (x + 1)/2 \in [0, 1]

with F the centred orthonormal transform of each channel. "Oversample r" means int(r/8 · n) zeros on every side of n
pixels, so that r = 2 is 1.5 samples per pixel and axis. This definition is that of DAPS (arXiv 2407.01521 and its
code); DPS (arXiv 2209.14687) keeps u = x in [-1, 1], which makes the signal twice as large at the same noise. Results
under the two cannot be compared.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import torch

from ..diffusion.options import option
from ..diffusion.sentence import Sentence
from .diffraction import centred, refuse_marks, root, scale_of
from .fourier import centred_fft2, zero_pad
from .images import LARGEST_SIDE, check_image, is_size
from .measurement import Measurement
from .noise import GaussianNoise, NoiseModel, estimate_sigma
from .operator import Operator
from .preview import log_shade
from .recording import QUANTITIES, ReadOptions
from .symmetry import Symmetry, phaseless_symmetries

__all__ = ["PRESETS", "PhaseRetrieval"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PhaseRetrieval(Operator):
    """Amplitudes (or intensities) of the zero-padded image's Fourier transform.

    Args:
        oversample: r of the definition above; 2 is what papers report. Below about 2 (1.5 samples per axis) the
            problem has many solutions.
        signal_range: ``0..1`` (DAPS) or ``-1..1`` (DPS): what an image in [-1, 1] becomes before the transform.
        quantity: y is the ``amplitude`` |F| or the ``intensity`` |F|^2. Prompts and files call it ``kind``.
        channels: ``separate`` measures each channel; ``mean`` measures the grey image (the mean over the channels),
            which is what a detector without colours does.
        detector: (h, w) of y where it does not follow from ``oversample`` (a detector of one's own).
        noise: ``GaussianNoise`` on y, clipped at 0 unless it says otherwise, or ``PoissonNoise``.

    Raises:
        ValueError: a setting outside its range.

    >>> operator = PhaseRetrieval(oversample=2.0, noise=GaussianNoise(0.05))
    >>> white = torch.ones(1, 3, 8, 8)
    >>> y = operator(white)
    >>> y.shape, y[0, 0, 6, 6].item()  # zero frequency: 64 pixels of 1, over sqrt(12 * 12)
    (torch.Size([1, 3, 12, 12]), 5.333333492279053)
    >>> measurement = operator.measure(white, seed=0)
    >>> measurement.count, measurement.image_shape
    (432, (8, 8))
    """

    name = "phase_retrieval"
    shift_symmetric = True

    oversample: float = option(
        2.0,
        "How much finer than the image the frequencies are sampled: int(oversample/8 · n) zeros on each side of n "
        "pixels. 2 (1.5 samples per pixel) is usual; less makes the problem ambiguous, more makes it easier.",
        minimum=0.0,
        maximum=1000.0,
        step=0.1,
    )
    signal_range: str = option(
        "0..1",
        "What black and white count as. -1..1 makes the signal twice as large at the same noise, an easier problem, "
        "so never compare figures across the two.",
        choices=("0..1", "-1..1"),
    )
    quantity: str = option(
        "amplitude",
        "Whether values are amplitudes |F| or intensities |F|², and so what the noise is added to. Use amplitude "
        "unless you have a reason: its noise is more even.",
        name="kind",
        choices=QUANTITIES,
    )
    channels: str = option(
        "separate",
        "separate: red, green and blue are recorded one by one. mean: one recording of the grey image, as a detector "
        "without colours makes it; colours then come from the model alone.",
        choices=("separate", "mean"),
        advanced=True,
        added_later=True,
    )
    detector: tuple[int, int] | None = None
    noise: NoiseModel = field(default=GaussianNoise(), kw_only=True)

    def check(self) -> None:
        super().check()
        if self.detector is not None and not is_size(self.detector):
            raise ValueError(
                f"detector is {str(self.detector)[:60]}; it must be (rows, columns), each a whole number from 1 to "
                f"{LARGEST_SIDE}."
            )

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
        return centred_fft2(zero_pad(u, self.measurement_shape((u.shape[-2], u.shape[-1]))[1:]))

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        spectrum = self.spectrum(self.object(image))
        if self.quantity == "intensity":
            return spectrum.real.square() + spectrum.imag.square()
        return spectrum.abs()  # torch takes the gradient of |z| at z = 0 as 0, the middle of its subgradients

    # -- shapes ------------------------------------------------------------------------------------------------------

    def measurement_shape(self, image_shape: tuple[int, int]) -> tuple[int, int, int]:
        shape = self.detector or (self._padded(image_shape[0]), self._padded(image_shape[1]))
        if shape[0] < image_shape[0] or shape[1] < image_shape[1]:
            raise ValueError(
                f"the image is {image_shape[0]}×{image_shape[1]}, larger than the detector's {shape[0]}×{shape[1]}; "
                "use a smaller image."
            )
        return (3 if self.channels == "separate" else 1, *shape)

    def image_shape(self, detector_shape: tuple[int, int]) -> tuple[int, int]:
        return self._unpadded(detector_shape[0]), self._unpadded(detector_shape[1])

    def for_detector(self, shape: tuple[int, int]) -> PhaseRetrieval:
        """The same operator with y of (h, w), whatever the oversampling."""
        return replace(self, detector=(int(shape[0]), int(shape[1])))

    def _padded(self, n: int) -> int:
        return n + 2 * int(self.oversample / 8 * n)

    def _unpadded(self, size: int) -> int:
        fitting = [n for n in range(1, size + 1) if self._padded(n) == size]
        if not fitting:
            raise ValueError(
                f"no image has a pattern of {size} pixels at oversample {self.oversample:g}; give the image's size."
            )
        return fitting[0]

    # -- what it cannot see ------------------------------------------------------------------------------------------

    @property
    def symmetries(self) -> tuple[Symmetry, ...]:
        return phaseless_symmetries(3, signed=self.signal_range == "-1..1", separate=self.channels == "separate")

    @property
    def background(self) -> float:  # type: ignore[override]
        """The image value whose signal is 0: black for ``0..1``, middle grey for ``-1..1``."""
        return -1.0 if self.signal_range == "0..1" else 0.0

    def caution(self, image_shape: tuple[int, int]) -> Sentence | None:
        """When the recorded values are fewer equations than the image has pixels.

        Friedel's law makes half of them repeat the other half, so it takes two per pixel.
        """
        _, rows, columns = self.measurement_shape(image_shape)
        samples = rows * columns / (image_shape[0] * image_shape[1])
        if samples >= 2:
            return None
        return Sentence(
            "oversample {oversample} records {samples} values per pixel, and half of them repeat the other half, so "
            "many pictures explain this measurement equally well; set oversample to 2 in Phase Retrieval.",
            oversample=f"{self.oversample:g}",
            samples=f"{samples:.3g}",
        )

    # -- recordings ----------------------------------------------------------------------------------------------------

    def shade(self, y: torch.Tensor, decades: float) -> torch.Tensor:
        """The amplitudes on a logarithmic scale, also where intensities were recorded."""
        y = y.clamp_min(0)
        return log_shade(y.sqrt() if self.quantity == "intensity" else y, decades)

    def from_recording(self, y: torch.Tensor, mask: torch.Tensor | None, options: ReadOptions) -> Measurement:
        """A detector's pattern as a measurement, by an operator that is adapted to the data's size and channels.

        In this order: zero frequency to the middle; intensities to amplitudes; grey data to the operator that averages
        channels; size; units; noise, where it is to be estimated; the quantity that the operator works with.
        """
        y, mask = centred(y, mask, options)
        refuse_marks(y)
        amplitude = y if options.values == "amplitude" else root(y, self.noise.never_negative)
        operator, image_shape = self._for_channels(y.shape[0])._for_size(
            (y.shape[-2], y.shape[-1]), options.image_shape
        )
        amplitude = amplitude * scale_of(amplitude, options.scale, image_shape, operator.noise.noise_sigma)
        if options.estimate_noise:
            sigma = estimate_sigma(amplitude[None], None if mask is None else mask[None].float())
            logger.info("noise_sigma estimated from the data: %.4g", sigma)
            operator = replace(operator, noise=replace(operator.noise, noise_sigma=sigma))
        lowest, sigma = float(amplitude.min()), operator.noise.noise_sigma
        if lowest < -8 * sigma:
            raise ValueError(
                f"amplitudes go down to {lowest:.3g}, which noise of sigma {sigma:.3g} cannot explain; "
                "check the array and noise_sigma, or switch on negative_is_dead."
            )
        if operator.noise.never_negative:
            amplitude = amplitude.clamp_min(0)
        values = amplitude if operator.quantity == "amplitude" else amplitude.square()
        return Measurement(values[None], operator, None if mask is None else mask[None], image_shape)

    def _for_channels(self, channels: int) -> PhaseRetrieval:
        if channels == 1 and self.channels == "separate":
            logger.info(
                "the data have one channel: the image's channels are averaged, colours come from the model alone."
            )
            return replace(self, channels="mean")
        if channels == 3 and self.channels == "mean":
            raise ValueError("the data have three channels; set channels of the operator to separate.")
        return self

    def _for_size(
        self, detector: tuple[int, int], image_shape: tuple[int, int] | None
    ) -> tuple[PhaseRetrieval, tuple[int, int]]:
        """The image's size, and the operator told the detector's size where oversampling does not give just that."""
        by_oversampling = replace(self, detector=None)
        if image_shape is None:
            image_shape = by_oversampling.image_shape(detector)
        if by_oversampling.measurement_shape(image_shape)[1:] == detector:
            return by_oversampling, image_shape
        operator = self.for_detector(detector)
        operator.measurement_shape(image_shape)  # raises when the image does not fit on the detector
        return operator, image_shape


#: As published: noise may make amplitudes negative. (DPS's paper adds this Gaussian noise; its repository's
#: configuration file has Poisson noise instead.)
PRESETS: Mapping[str, PhaseRetrieval] = MappingProxyType(
    {
        "daps": PhaseRetrieval(2.0, "0..1", noise=GaussianNoise(0.05, clip_negative=False)),
        "dps": PhaseRetrieval(2.0, "-1..1", noise=GaussianNoise(0.05, clip_negative=False)),
    }
)
