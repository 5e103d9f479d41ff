"""The type checker over the layers that run without ComfyUI: ``python3 -m labkit.typecheck``, with the lab's Python.

The pack is a package whose name is that of its folder, whatever that is; mypy is shown it as ``sampler_lab``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from . import places

__all__ = ["LAYERS", "main"]

LAYERS = ("diffusion", "samplers", "posterior", "operators", "schedulers", "metrics", "instruments")


def main() -> int:
    """Check every layer at once; returns mypy's exit status."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / places.PACK_NAME).symlink_to(places.ROOT, target_is_directory=True)
        packages = [argument for layer in LAYERS for argument in ("-p", f"{places.PACK_NAME}.{layer}")]
        command = [
            *(sys.executable, "-m", "mypy", "--config-file", str(places.ROOT / "pyproject.toml")),
            *("--cache-dir", str(places.CACHE / "mypy"), *packages),
        ]
        environment = {**os.environ, "MYPYPATH": folder}
        return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
