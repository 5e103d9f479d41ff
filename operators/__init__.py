"""Forward operators: what an instrument records of an image, its noise, and what it cannot tell apart."""

from .measurement import Measurement
from .operator import Operator
from .phase_retrieval import PRESETS, PhaseRetrieval
from .symmetry import IDENTITY, Symmetry, rot180, shift_image

__all__ = ["IDENTITY", "PRESETS", "Measurement", "Operator", "PhaseRetrieval", "Symmetry", "rot180", "shift_image"]
