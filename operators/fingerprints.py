"""What identifies a measurement and an image by content, so that a record says what it is of, whatever its file is
called."""

from __future__ import annotations

import hashlib
from typing import Any

import torch

from . import Measurement

__all__ = ["describe_measurement", "tensor_sha256"]


def tensor_sha256(*tensors: torch.Tensor | None) -> str:
    """The sha256 over shapes and values (little-endian, single precision) of ``tensors``; equal on any device."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(b"none" if tensor is None else repr(tuple(tensor.shape)).encode())
        if tensor is not None:
            digest.update(tensor.detach().to("cpu", torch.float32).contiguous().numpy().astype("<f4").tobytes())
    return digest.hexdigest()


def describe_measurement(measurement: Measurement) -> dict[str, Any]:
    """For a record: the number of valid values m, the noise floor, the operator's settings, the data's sha256."""
    return {
        "values": measurement.count,
        "noise_floor": measurement.noise_floor,
        "operator": measurement.operator.to_dict(),
        "sha256": tensor_sha256(measurement.y, measurement.mask),
    }
