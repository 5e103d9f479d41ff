"""Forward operators: what an instrument records of an image, its noise, and what it cannot tell apart."""

from .catalogue import OPERATORS
from .grey import Grey
from .linear import LinearOperator
from .measurement import ForwardModel, Measurement
from .noise import GaussianNoise, NoiseModel, PoissonNoise
from .operator import Operator
from .phase_retrieval import PRESETS, PhaseRetrieval
from .recording import ReadOptions
from .symmetry import IDENTITY, Symmetry, rot180, shift_image

__all__ = [
    "IDENTITY",
    "OPERATORS",
    "PRESETS",
    "ForwardModel",
    "GaussianNoise",
    "Grey",
    "LinearOperator",
    "Measurement",
    "NoiseModel",
    "Operator",
    "PhaseRetrieval",
    "PoissonNoise",
    "ReadOptions",
    "Symmetry",
    "rot180",
    "shift_image",
]
