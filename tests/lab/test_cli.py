"""``lab.py`` as a person starts it: what is wrong is one sentence and the status 1, before anything is installed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def lab(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run lab.py from another folder, as it must not matter where one stands."""
    command = [sys.executable, str(ROOT / "lab.py"), *map(str, arguments)]
    variables = {key: value for key, value in os.environ.items() if key != "COMFYUI_PATH"} | environment
    return subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", env=variables, cwd=ROOT.parent, check=False
    )


def refused(ended: subprocess.CompletedProcess[str]) -> str:
    """The one sentence."""
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr.strip()


def test_a_picture_that_is_not_there():
    assert refused(lab("demo", "--image", "no/such.png")) == f"There is no picture {Path('no/such.png')}."


def test_a_comfyui_that_is_none(tmp_path):
    said = refused(lab("demo", "--comfyui", tmp_path))
    assert said == f"{tmp_path} is not a ComfyUI folder: there is no main.py in it."
    assert refused(lab("test", COMFYUI_PATH=str(tmp_path))) == said


def test_a_version_that_the_index_does_not_have():
    assert refused(lab("demo", "--host-version", "9.9")).startswith("There is no ComfyUI 9.9 to fetch: choose one of")


def test_a_benchmark_that_does_not_exist():
    said = refused(lab("bench", "no_such_benchmark"))
    assert said.startswith("There is no benchmark no_such_benchmark; there are: ")
    assert "latent_daps" in said


def test_a_port_that_is_taken(comfyui):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = refused(lab("serve", "--comfyui", comfyui, "--port", port))
    assert said == f"Port {port} is taken by another program: choose another one with --port."


def test_arguments_of_test_go_to_pytest(comfyui):
    ended = lab("test", "--comfyui", comfyui, "--collect-only", "-q", "tests/lab/test_cli.py", "-k", "taken")
    assert ended.returncode == 0, ended.stderr
    assert "tests/lab/test_cli.py::test_a_port_that_is_taken" in ended.stdout
    assert "test_a_benchmark_that_does_not_exist" not in ended.stdout


def test_the_status_of_pytest_is_the_status_of_test(comfyui):
    assert lab("test", "--comfyui", comfyui, "-q", "tests/no_such_test.py").returncode == 4


@pytest.mark.parametrize("arguments", [["demo", "--nonsense"], ["nonsense"], []])
def test_a_command_line_that_makes_no_sense(arguments):
    ended = lab(*arguments)
    assert ended.returncode == 2
    assert "usage: lab.py" in ended.stderr
