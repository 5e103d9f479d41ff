"""Where everything lies. The lab writes below ``.lab/`` and ``output/``, nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = [
    "BASE",
    "BENCHMARKS",
    "CACHE",
    "CONSTRAINTS",
    "HOSTS",
    "LAB",
    "LAB_REQUIREMENTS",
    "LATENT_DAPS_TEMPLATE",
    "MAIN_HOST",
    "MAIN_TEMPLATE",
    "OLDEST_HOST",
    "OUTPUT",
    "PACK_NAME",
    "PACK_REQUIREMENTS",
    "PARTS_TEMPLATE",
    "ROOT",
    "RUNNING",
    "TEMPLATES",
    "VENV",
    "unpacked_host",
    "venv_python",
]

ROOT = Path(__file__).resolve().parent.parent
LAB = ROOT / ".lab"
RUNNING = LAB / "running"
VENV = LAB / "venv"
HOSTS = LAB / "host"
BASE = LAB / "base"
CACHE = LAB / "cache"
OUTPUT = ROOT / "output"
TEMPLATES = ROOT / "example_workflows"
#: The one that `demo` runs. The editor shows file names as titles, so they are words.
MAIN_TEMPLATE = TEMPLATES / "01 Phase retrieval (start here).json"
#: The published method, and our own taken apart: what experiments run.
LATENT_DAPS_TEMPLATE = TEMPLATES / "13 LatentDAPS, the published method.json"
PARTS_TEMPLATE = TEMPLATES / "14 The recipe from its parts.json"
BENCHMARKS = ROOT / "benchmarks"
PACK_REQUIREMENTS = ROOT / "requirements.txt"
LAB_REQUIREMENTS = ROOT / "labkit" / "requirements-lab.txt"
CONSTRAINTS = ROOT / "labkit" / "constraints.txt"

#: The pack's folder inside ``custom_nodes/``, as the README has people clone it.
PACK_NAME = "sampler_lab"
#: The ComfyUI version that is used unless another one is asked for.
MAIN_HOST = "0.30.0"
#: The oldest that the pack runs on; pyproject.toml tells the registry the same.
OLDEST_HOST = "0.16.3"


def unpacked_host(version: str = MAIN_HOST) -> Path | None:
    """The ComfyUI folder that the lab unpacked, if it has."""
    folder = HOSTS / version
    return folder if (folder / "main.py").is_file() else None


def venv_python(venv: Path = VENV) -> Path:
    """The interpreter of a virtual environment, there or not."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
