"""Every data step: nodes, help and tests are made from this list. To add one, write its file and list it here.

Not listed: ``in_stages.py``, which is none of its own but two of them.
"""

from __future__ import annotations

from ..part import DataStep
from .hmc import HMC
from .joint_fit import JointFit
from .langevin import Langevin
from .pixel import PixelStep

__all__ = ["DATA_STEPS"]

DATA_STEPS: tuple[type[DataStep], ...] = (Langevin, HMC, PixelStep, JointFit)
