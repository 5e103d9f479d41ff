"""``lab.py`` as a person starts it: what is wrong is one sentence and the status 1, before anything is installed."""

from __future__ import annotations

import ctypes
import os
import shutil
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


def test_a_version_that_is_named_goes_before_what_the_environment_names(tmp_path):
    """``lab.py bench`` sets COMFYUI_PATH; a test run of another version within it would silently test that one."""
    said = refused(lab("test", "--host", "9.9", COMFYUI_PATH=str(tmp_path)))
    assert said.startswith("There is no ComfyUI 9.9 to fetch")


def test_a_version_that_the_index_does_not_have():
    assert refused(lab("demo", "--host-version", "9.9")).startswith("There is no ComfyUI 9.9 to fetch: choose one of")


def test_a_version_that_is_too_old_is_told_at_once(tmp_path):
    wanted = "is too old: Sampler Lab needs ComfyUI >= 0.16.3"
    assert wanted in refused(lab("demo", "--host-version", "0.3.75"))
    assert "0.3.75" not in lab("demo", "--help").stdout
    (tmp_path / "main.py").write_text("")
    (tmp_path / "comfyui_version.py").write_text('__version__ = "0.3.75"\n')
    for command in (("demo",), ("serve",), ("test",), ("bench", "samplers"), ("experiment", "exp0")):
        assert refused(lab(*command, "--comfyui", tmp_path)).startswith(f"The ComfyUI 0.3.75 in {tmp_path} {wanted}")


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "is empty; give a picture"), (b"not a picture", "is not a picture that ComfyUI can load; give a picture")],
)
def test_a_picture_that_is_none_is_told_at_once(tmp_path, content, says):
    (tmp_path / "mine.png").write_bytes(content)
    assert says in refused(lab("demo", "--image", tmp_path / "mine.png", "--host-version", "0.16.3"))


def test_a_picture_that_is_cut_off_is_told_before_the_host_is_started(tmp_path, comfyui):
    whole = (ROOT / "priors" / "held_out" / "tiger-face.png").read_bytes()
    (tmp_path / "mine.png").write_bytes(whole[: len(whole) // 2])
    said = lab("demo", "--comfyui", comfyui, "--image", tmp_path / "mine.png")
    assert "mine.png cannot be decoded" in refused(said)
    assert "ComfyUI" not in said.stdout


def test_bench_lists_the_benchmarks_with_a_line_each():
    said = lab("bench", "-h")
    assert said.returncode == 0
    for script in (ROOT / "benchmarks").glob("[!_]*.py"):  # an underscore begins what several of them share
        (line,) = [line for line in said.stdout.splitlines() if line.split()[:1] == [script.stem]]
        assert len(line.split()) > 4
    assert lab("bench").returncode == 2


def test_the_help_of_experiment_and_of_report_is_their_own():
    said = lab("experiment", "-h").stdout
    for text in ("exp0", "exp5", "Why start with four", "--pruning_step", "t of 1000, counting down", "--count"):
        assert text in said
    report = lab("experiment", "report", "-h").stdout
    assert "usage: lab.py experiment report" in report
    assert "--pruning_step" not in report


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="takes root its right to write everywhere")
@pytest.mark.parametrize("command", [("demo",), ("serve",), ("test",), ("bench", "samplers"), ("experiment", "exp0")])
def test_a_checkout_that_cannot_be_written_is_one_sentence(tmp_path, comfyui, command):
    checkout = tmp_path / "checkout"
    for name in ("lab.py", "__init__.py", "labkit", "benchmarks"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, checkout / name)
    checkout.chmod(0o555)
    try:
        ended = subprocess.run(
            [sys.executable, str(checkout / "lab.py"), *command, "--comfyui", str(comfyui)],
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=without_roots_rights,
        )
    finally:
        checkout.chmod(0o755)
    said = refused(ended)
    assert said.startswith(f"{checkout / '.lab'}")
    assert "cannot be written (Permission denied). The lab writes below .lab/ and output/" in said
    assert len(said.splitlines()) == 1


def without_roots_rights() -> None:
    """From the next program on, permissions count for root as well (Linux: prctl PR_CAPBSET_DROP)."""
    if os.geteuid() == 0:
        for right in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            ctypes.CDLL(None).prctl(24, right, 0, 0, 0)


def test_results_that_cannot_be_written_are_told_before_the_host_is_started(comfyui, tmp_path):
    (tmp_path / "results").write_text("")
    said = lab("experiment", "exp0", "--count", "1", "--comfyui", comfyui, "--out", tmp_path / "results")
    assert refused(said).startswith("The results cannot be written.")
    assert "ComfyUI" not in said.stdout


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
