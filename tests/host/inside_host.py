"""What every probe begins with: it runs in a process of its own inside the ComfyUI folder named by its first argument.

A process of its own, because importing ComfyUI changes much of an interpreter (arguments, logging, memory management).
:func:`found_by` is the other side: what a test calls.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

__all__ = ["enter_host", "found_by", "sentence"]

ROOT = Path(__file__).resolve().parents[2]


def enter_host() -> None:
    """Make the host's modules importable, and the pack under its name ``sampler_lab``."""
    import torch

    host = sys.argv[1]
    sys.argv = [sys.argv[0]] + ([] if torch.cuda.is_available() else ["--cpu"])
    sys.path.insert(0, host)

    import comfy.options

    comfy.options.enable_args_parsing()
    spec = importlib.util.spec_from_file_location("lab", ROOT / "lab.py")
    lab = importlib.util.module_from_spec(spec)
    sys.modules["lab"] = lab
    spec.loader.exec_module(lab)
    lab.import_pack()


def sentence(call: Callable, *arguments: object, **named: object) -> str:
    """The sentence of the ValueError that a call raises, or nothing."""
    try:
        call(*arguments, **named)
    except ValueError as error:
        return str(error)
    return ""


def found_by(probe: str, comfyui: Path, timeout: float = 300) -> dict:
    """What the probe in this folder writes, as JSON in its last line, when it is run inside ``comfyui``.

    timeout: seconds in which it has not computed; one that computes may take as long as its machine needs.
    """
    from patience import run_while_it_works  # the tests' folder is not on the path of the probe itself

    command = [sys.executable, str(Path(__file__).with_name(probe)), str(comfyui)]
    ended = run_while_it_works(command, timeout, cwd=comfyui)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return json.loads(ended.stdout.splitlines()[-1])
