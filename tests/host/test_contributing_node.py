"""The node that CONTRIBUTING.md adds is one that ComfyUI is given, and that works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from contributing import copy_of_the_repository, sections

pytestmark = pytest.mark.host


def test_the_lines_are_enough(comfyui, tmp_path):
    section, root = sections()["A node"], copy_of_the_repository(tmp_path / "copy")
    section.apply(root)
    assert len(section.files) == 2
    probe = Path(__file__).with_name("contributing_probe.py")
    ended = subprocess.run(
        [sys.executable, str(probe), str(comfyui), str(root)],
        cwd=comfyui,
        env={**os.environ, "PYTHONPATH": str(comfyui)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["says"] == "Hello, reader"
    assert found["tooltip"] == "Who is greeted."
    assert found["count"] > 30
