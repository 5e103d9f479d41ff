"""What identifies tensors by their content, so that a record says what it is of, whatever its file is called."""

from __future__ import annotations

import hashlib

import torch

__all__ = ["tensor_sha256"]


def tensor_sha256(*tensors: torch.Tensor | None) -> str:
    """The sha256 over shapes and values (little-endian, single precision) of ``tensors``; equal on any device."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(b"none" if tensor is None else repr(tuple(tensor.shape)).encode())
        if tensor is not None:
            digest.update(tensor.detach().to("cpu", torch.float32).contiguous().numpy().astype("<f4").tobytes())
    return digest.hexdigest()
