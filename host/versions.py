"""Versions for a run's record."""

from __future__ import annotations

import platform

import torch

__all__ = ["host_versions"]


def host_versions() -> dict[str, str]:
    """Versions of ComfyUI, torch and Python; "unknown" where a host does not say."""
    try:
        from comfyui_version import __version__ as comfyui
    except ImportError:
        comfyui = "unknown"
    return {"comfyui": comfyui, "torch": torch.__version__, "python": platform.python_version()}
