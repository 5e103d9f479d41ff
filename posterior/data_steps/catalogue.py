"""Every data step: nodes, help and tests are made from this list. To add one, write its file and list it here."""

from __future__ import annotations

from ..part import DataStep
from .hmc import HMC
from .langevin import Langevin

__all__ = ["DATA_STEPS"]

DATA_STEPS: tuple[type[DataStep], ...] = (Langevin, HMC)
