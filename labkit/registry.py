"""``lab.py check``: the pack as the registry would hand it out, checked by the ecosystem's own tools.

1. ``comfy node validate`` and ``comfy node pack`` (comfy-cli): what the registry asks before it takes a pack.
2. ``comfy-test lint --strict``: characters, layers, names of extensions, in the whole repository.
3. ``comfy-import-guard``: every name of the host that the repository uses is there, also in its tests.
4. ``comfy-test run``: the package, unpacked into a ComfyUI of its own, at all default levels.

The tools lie in a folder of their own, beside the host's packages and not among them. They see a copy of the files that
git tracks, as they are in the working tree, so that what is checked is what is about to be committed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from . import places
from .console import Console
from .environment import run_pip
from .errors import LabError
from .server import Server
from .setup import Host

__all__ = ["check_package", "package"]

REQUIREMENTS = places.ROOT / "labkit" / "requirements-registry.txt"
_TOOLS = places.LAB / "registry"
#: Tool -> how its command line begins, for a Python that has the tool on its path.
_COMMANDS = {
    "comfy": ["-m", "comfy_cli", "--skip-prompt", "--no-enable-telemetry"],
    "comfy-import-guard": ["-c", "import sys; from comfy_import_guard.cli import main; sys.exit(main())"],
    "comfy-test": ["-c", "import sys; from comfy_test.cli import main; sys.exit(main())"],
}


def check_package(console: Console, host: Host) -> None:
    """Run every check, each with a line on the console. Raises ``LabError`` with the words of the one that fails."""
    tools = _Tools(console, host.python)
    with tempfile.TemporaryDirectory(prefix="check-", dir=places.LAB) as scratch:
        folder = Path(scratch)
        with console.step("Packed for the registry") as step:
            archive = package(tools, folder)
            step.result = f"{archive.stat().st_size / 1e6:.1f} MB"
        repository = folder / "repository" / places.PACK_NAME
        with console.step("comfy-test lint"):
            tools.run("comfy-test", ["lint", "--strict", "."], repository)
        with console.step("comfy-import-guard"):
            history = _as_git(host.comfyui, folder / "history" / "ComfyUI").parent
            installed = folder / "installed"
            shutil.copytree(repository, installed / "custom_nodes" / places.PACK_NAME)
            options = ["--comfy-dir", str(installed), "--target", "HEAD", "--no-update", "--strict"]
            tools.run("comfy-import-guard", ["--cache-dir", str(history), "--offline", "check", *options], folder)
        with console.step("comfy-test") as step:
            step.result = _levels(tools, host, archive, folder / "ComfyUI")


def package(tools: _Tools, folder: Path) -> Path:
    """The archive that ``comfy node publish`` would upload, made in ``folder`` of the tracked files."""
    repository = _as_git(places.ROOT, folder / "repository" / places.PACK_NAME, tracked_files())
    tools.run("comfy", ["node", "validate"], repository)
    tools.run("comfy", ["node", "pack"], repository)
    return shutil.move(repository / "node.zip", folder / "node.zip")


def tracked_files() -> list[str]:
    """What git tracks, as far as it is there, relative to the root."""
    answer = subprocess.run(["git", "ls-files", "-z"], cwd=places.ROOT, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise LabError(f"This is no git checkout, so there is nothing to pack: {answer.stderr.strip()}")
    return [name for name in answer.stdout.split("\0") if name and (places.ROOT / name).is_file()]


def _as_git(source: Path, target: Path, names: Sequence[str] | None = None) -> Path:
    """A copy of ``source`` (of ``names`` in it) that is a git repository with one commit: the tools ask git."""
    if names is None:
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(".git", "__pycache__"))
    else:
        for name in names:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, target / name)
    author = ["-c", "user.name=lab", "-c", "user.email=lab@localhost", "-c", "core.autocrlf=false"]
    for arguments in (["init", "-q"], ["add", "-A", "-f", "."], [*author, "commit", "-q", "-m", "as it is"]):
        subprocess.run(["git", *arguments], cwd=target, check=True, capture_output=True)
    return target


def _levels(tools: _Tools, host: Host, archive: Path, comfyui: Path) -> str:
    """comfy-test's levels on the unpacked package in a copy of the host; how many passed."""
    shutil.copytree(host.comfyui, comfyui, ignore=shutil.ignore_patterns(".git", "__pycache__"))
    pack = comfyui / "custom_nodes" / places.PACK_NAME
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(pack)
    logs = comfyui.parent / "logs"
    with Server(comfyui, base=comfyui, python=host.python, private=logs) as server:
        said = tools.run("comfy-test", ["run", "--server-url", server.url], pack, COMFY_TEST_LOGS_DIR=str(logs))
    passed = said.count("] PASSED")
    if not passed:
        raise LabError(f"comfy-test ran no level:\n{said[-2000:]}")
    return f"{passed} levels passed"


class _Tools:
    """The tools, installed once into a folder that only they are given."""

    def __init__(self, console: Console, python: Path) -> None:
        self._python = python
        self.folder = _TOOLS / hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
        if not self.folder.is_dir():
            with console.step("The registry's tools") as step:
                self._install(step.update)
                step.result = "installed"

    def _install(self, report: object) -> None:
        shutil.rmtree(_TOOLS, ignore_errors=True)  # older ones
        partial = _TOOLS / ".partial"
        run_pip(
            self._python, ["install", "--target", str(partial), "-r", str(REQUIREMENTS)], places.CACHE / "pip", report
        )
        partial.rename(self.folder)

    def run(self, tool: str, arguments: Sequence[str], folder: Path, **environment: str) -> str:
        """What a tool says on ``arguments`` in ``folder``. Raises ``LabError`` with its last words when it fails."""
        answer = subprocess.run(
            [str(self._python), *_COMMANDS[tool], *arguments],
            cwd=folder,
            env={**os.environ, **self._environment(), **environment},
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
            check=False,
        )
        said = answer.stdout + answer.stderr
        if answer.returncode != 0:
            raise LabError(f"{tool} {arguments[0]} found something:\n{said.strip()[-6000:]}")
        return said

    def _environment(self) -> dict[str, str]:
        """The tools' own packages first, and a home of their own for what they write down."""
        home = str(_TOOLS / "home")
        Path(home).mkdir(parents=True, exist_ok=True)
        paths = os.pathsep.join([str(self.folder), *filter(None, [os.environ.get("PYTHONPATH")])])
        homes = {"HOME": home, "USERPROFILE": home, "XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home}
        return {"PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8", **homes}
