"""Every estimate of the clean latent. To add one, write its file and list it here."""

from __future__ import annotations

from ..part import Estimate
from .probability_flow import ProbabilityFlow
from .tweedie import Tweedie

__all__ = ["ESTIMATES"]

ESTIMATES: tuple[type[Estimate], ...] = (ProbabilityFlow, Tweedie)
