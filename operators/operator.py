"""The forward operator A: from an image to what an instrument would record of it, without noise.

Everything that solves an inverse problem here is written against this class, so a new problem is a new subclass, and a
small one: the camera without colours is all of ``grey.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, TypeVar

import torch

from ..diffusion.options import Option, Options
from ..diffusion.sentence import Sentence
from .images import check_image
from .measurement import Measurement
from .noise import NOISE, NOISE_MODELS, GaussianNoise, NoiseModel, noise_model
from .preview import linear_shade
from .recording import ReadOptions
from .symmetry import IDENTITY, Symmetry

__all__ = ["Operator"]

Self = TypeVar("Self", bound="Operator")


@dataclass(frozen=True)
class Operator(Options, ABC):
    """y = A(x) + noise, with x an image ``[N, 3, H, W]`` in [-1, 1] and y real, ``[N, C, h, w]``.

    A subclass is a frozen dataclass whose settings are options (``diffusion.options.option``). It says what A(x) is,
    and of the rest only what is not as it is here. ``catalogue.py`` makes it known to files, records and nodes.

    noise: how y scatters around A(x).
    name: in prompts and files.
    quantity: what the recorded values are: an ``amplitude``, which is anything that is not an ``intensity``.
    shift_symmetric: shifting the object inside its frame leaves y unchanged.
    background: the image value that counts as "nothing there" when an object is shifted.

    Raises:
        ValueError: a setting outside its range.
    """

    name: ClassVar[str] = ""
    quantity = "amplitude"  # not annotated: a fact about the operator, unless a subclass makes it a setting
    shift_symmetric = False
    background = -1.0

    noise: NoiseModel = field(default=GaussianNoise(clip_negative=False), kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "noise", self.noise.of(self.quantity))

    def check(self) -> None:
        super().check()
        if not isinstance(self.noise, NoiseModel):
            raise ValueError(f"noise is {self.noise!r}; it must be a noise model, for example GaussianNoise(0.05).")

    # -- the operator ------------------------------------------------------------------------------------------------

    @abstractmethod
    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """A(x), noiseless and differentiable.

        Computed in float32, or in float64 when ``image`` is float64 (``images.check_image``).
        """

    def measurement_shape(self, image_shape: tuple[int, int]) -> tuple[int, int, int]:
        """(C, h, w) of y for an image of (H, W); as long as nobody says otherwise, that of the image."""
        return (3, *image_shape)

    def image_shape(self, detector_shape: tuple[int, int]) -> tuple[int, int]:
        """(H, W) of the image whose y has (h, w); raises ``ValueError`` when there is none."""
        return detector_shape

    @property
    def symmetries(self) -> tuple[Symmetry, ...]:
        """Exact discrete symmetries of y on images, the identity first."""
        return (IDENTITY,)

    # -- experiments ---------------------------------------------------------------------------------------------------

    def measure(self, image: torch.Tensor, seed: int) -> Measurement:
        """Simulate an experiment on one image ``[1, 3, H, W]``: A(x) plus noise drawn from a generator of this seed.

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
            y = self.noise.draw(self(image), torch.Generator().manual_seed(seed))
        return Measurement(y, self, image_shape=(image.shape[-2], image.shape[-1]))

    def noise_floor(
        self, truth: torch.Tensor | None = None, *, y: torch.Tensor | None = None, mask: torch.Tensor | None = None
    ) -> float:
        """The expected ||A(truth) - y||^2 over the noise.

        From the ``truth`` (one image) where it is known, else estimated from ``y`` alone; give exactly one of the two.
        ``mask`` (1 = valid) leaves dead pixels out.
        """
        with torch.no_grad():
            if truth is not None and y is None:
                squares = self.noise.expected_square(self(truth.double()))
                return float((squares if mask is None else squares * mask).sum())
            if y is not None and truth is None:
                return self.noise.floor_from_data(y if mask is None else y[mask.expand_as(y) > 0])
        raise ValueError("noise_floor needs either the truth or y, not both and not neither.")

    def from_recording(self, y: torch.Tensor, mask: torch.Tensor | None, options: ReadOptions) -> Measurement:
        """What an instrument recorded, ``[C, h, w]`` (mask: 1 = valid), as a measurement of this operator.

        The operator may adapt itself to the data, as phase retrieval does to a detector's size and channels.

        Raises:
            ValueError: the data, or how ``options`` say they are to be read, do not fit.
        """
        of_a_pattern = {
            "values": options.values != self.quantity,
            "zero_frequency": options.zero_frequency == "corner",
            "beam": options.beam != (None, None),
            "scale": options.scale == 0,
            "estimate_noise": options.estimate_noise,
        }
        for name, asked in of_a_pattern.items():
            if asked:
                raise ValueError(
                    f"{name} is {getattr(options, name)}, which is about diffraction patterns; leave it as it is for "
                    f"data of {type(self).__name__}."
                )
        image_shape = options.image_shape or self.image_shape((y.shape[-2], y.shape[-1]))
        return Measurement((y * options.scale)[None], self, None if mask is None else mask[None], image_shape)

    def caution(self, image_shape: tuple[int, int]) -> Sentence | None:  # noqa: ARG002 - for those with a limit
        """A sentence for the user, with a cure, when y leaves an image of this size open even without noise."""
        return None

    def shade(self, y: torch.Tensor, decades: float) -> torch.Tensor:  # noqa: ARG002 - linear unless overridden
        """How bright each recorded value is shown, shaped like ``y``, in [0, 1]: black for the lowest.

        ``decades`` is the range of brightness, in powers of ten, for operators that show theirs on such a scale.
        """
        return linear_shade(y)

    # -- prompts and files ---------------------------------------------------------------------------------------------

    @classmethod
    def settings(cls) -> tuple[Option, ...]:
        """What can be set: the operator's options, the choice of a noise model, and the options of those."""
        found = {each.name: each for each in (*cls.options(), NOISE)}
        for model in NOISE_MODELS.values():
            for each in model.options():
                found.setdefault(each.name, each)
        default = cls._default_noise().to_dict()
        return tuple(replace(each, default=default.get(each.name, each.default)) for each in found.values())

    def to_dict(self) -> dict[str, Any]:
        """Name and settings, those of the noise beside the operator's own, as plain values that JSON can hold."""
        own = super().to_dict()
        del own["noise"]
        return {"operator": self.name or type(self).__name__, **own, **self.noise.to_dict()}

    @classmethod
    def from_dict(cls: type[Self], values: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`. What is missing has its default, and names of later versions are passed over.

        Raises:
            ValueError: a value that is not allowed.
        """
        own = {
            inner: tuple(values[outer]) if isinstance(values[outer], list) else values[outer]
            for inner, outer in cls._outer_names().items()
            if outer in values and inner != "noise"
        }
        return cls(**own, noise=noise_model({**cls._default_noise().to_dict(), **values}))

    @classmethod
    def _default_noise(cls) -> NoiseModel:
        return next(each.default for each in fields(cls) if each.name == "noise")  # type: ignore[return-value]
