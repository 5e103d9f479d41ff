"""Where these were in release 0.2; ask :meth:`Measurement.describe` and ``diffusion.fingerprint``."""

from __future__ import annotations

from typing import Any

from ..diffusion.fingerprint import tensor_sha256
from .measurement import Measurement

__all__ = ["describe_measurement", "tensor_sha256"]


def describe_measurement(measurement: Measurement) -> dict[str, Any]:
    """See :meth:`Measurement.describe`."""
    return measurement.describe()
