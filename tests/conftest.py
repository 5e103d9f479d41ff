"""What every test shares: the pack under its name ``sampler_lab``, and (in time) a real ComfyUI with the pack in it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def _import_pack() -> None:
    """Load lab.py by its path, without putting the root on ``sys.path``, and let it register the pack."""
    spec = importlib.util.spec_from_file_location("lab", ROOT / "lab.py")
    lab = importlib.util.module_from_spec(spec)
    sys.modules["lab"] = lab
    spec.loader.exec_module(lab)
    lab.import_pack()


_import_pack()
