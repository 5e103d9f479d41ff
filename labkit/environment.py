"""The lab's own Python: a virtual environment with pinned packages.

Two stamps tell a whole environment from a half-made one: ``made`` is written when the environment exists, ``packages``
when pip has finished, with a hash of everything that was asked for. A kill leaves no stamp, so the next start takes
the step up again; what pip had finished stays.

pip takes nothing whose hash is not in ``constraints.txt``; and what it then wrote, it lists with sizes and hashes in
each package's RECORD, by which a file that was lost or cut short since is found.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from .errors import LabError
from .places import venv_python
from .tether import end, tethered

__all__ = ["Environment", "has_modules", "run_pip"]

_NO_NETWORK = re.compile(
    r"NewConnectionError|NameResolutionError|Failed to establish a new connection|Temporary failure in name resolution"
    r"|getaddrinfo failed|nodename nor servname|Network is unreachable|No route to host|ConnectTimeout|ReadTimeout"
    r"|ProxyError|Connection refused|Connection reset|Remote end closed connection|RemoteDisconnected",
)
_WRONG_HASH = re.compile(r"DO NOT MATCH THE HASHES", re.IGNORECASE)
_NO_SPACE = re.compile(r"No space left on device|not enough space on the disk", re.IGNORECASE)
_COLLECTING = re.compile(r"^\s*(?:Collecting|Downloading|Using cached) (\S+)")
#: pip settings of the person's that would take packages elsewhere.
_MISLEADING = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONPATH", "PYTHONHOME", "__PYVENV_LAUNCHER__")


def has_modules(python: Path | str, modules: Iterable[str]) -> bool:
    """Whether that interpreter exists and finds every module (by name; none is imported).

    A folder without its ``__init__.py`` is no module, although Python would import it as an empty one.
    """
    code = (
        "import sys, importlib.util as u; found = [u.find_spec(name) for name in sys.argv[1:]]; "
        "sys.exit(any(spec is None or spec.origin is None for spec in found))"
    )
    try:
        return subprocess.run([str(python), "-c", code, *modules], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def run_pip(python: Path | str, arguments: Sequence[str], temporary: Path, report: Callable[[str], None]) -> None:
    """Run pip, telling ``report`` what it is at.

    temporary: where pip may keep what it downloads meanwhile (several GB: too much for many a ``/tmp``).
    Raises ``LabError``: no network, disk full, or pip's own last words.
    """
    temporary.mkdir(parents=True, exist_ok=True)
    environment = {key: value for key, value in os.environ.items() if key not in _MISLEADING}
    environment |= {"TMPDIR": str(temporary), "TEMP": str(temporary), "TMP": str(temporary), "PYTHONUNBUFFERED": "1"}
    options = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    said: list[str] = []
    collected = 0
    with tethered(
        str(python),
        ["-m", "pip", arguments[0], *options, *arguments[1:]],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as pip:
        try:
            for line in pip.stdout:
                said.append(line.rstrip())
                if found := _COLLECTING.match(line):
                    collected += line.lstrip().startswith("Collecting")
                    report(f"{collected} found, {re.split('[=<>!~;[]', found[1])[0]}")
                elif line.startswith("Installing collected packages"):
                    report(f"unpacking {line.count(',') + 1} of them")
        except BaseException:
            end(pip, patience=0)
            raise
    shutil.rmtree(temporary, ignore_errors=True)
    if pip.returncode != 0:
        raise LabError(_why(said))


def _why(said: list[str]) -> str:
    text = "\n".join(said)
    if _NO_SPACE.search(text):
        return "The disk is full: free some space and start again; what is there already is kept."
    if _NO_NETWORK.search(text):
        return "No network: the package index cannot be reached. Connect (or set pip's proxy or index) and start again."
    if _WRONG_HASH.search(text):
        named = re.findall(r"^\s+(\S+==\S+|\w+://\S+)", text, re.MULTILINE)
        return (
            f"The package index sent another file than the one this lab was tried with ({', '.join(named[:3])}), so "
            "nothing of it was installed: do not trust that index, or use a ComfyUI of your own with its own packages "
            "(--comfyui PATH)."
        )
    errors = [line for line in said if line.startswith("ERROR:")] or said[-5:]
    return "pip failed: " + " ".join(errors[-5:])


class Environment:
    """The virtual environment in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = venv_python(folder)
        self._made = folder / "sampler-lab-made"
        self._packages = folder / "sampler-lab-packages"

    def is_made(self) -> bool:
        """Whether it is whole, and the Python it was made from still there."""
        return self._made.is_file() and has_modules(self.python, ["pip"])

    def make(self) -> None:
        """Make it anew. Raises ``LabError`` for a Python without ``venv``."""
        if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
            raise LabError(
                "This Python has no venv module: install it (Debian and Ubuntu: apt-get install python3-venv), or "
                "start lab.py with another Python."
            )
        shutil.rmtree(self.folder, ignore_errors=True)
        with tethered(
            sys.executable,
            ["-m", "venv", str(self.folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as made:
            try:
                said = made.stdout.read()
            except BaseException:
                end(made, patience=0)
                raise
        if made.returncode != 0:
            detail = said.strip().splitlines()
            raise LabError(f"The virtual environment cannot be made: {detail[-1] if detail else 'no reason was given'}")
        self._made.write_text("", encoding="utf-8")

    def has_packages(self, requirements: Sequence[Path], constraints: Path) -> bool:
        """Whether exactly these requirements are installed."""
        wanted = self._hash(requirements, constraints)
        return self._packages.is_file() and self._packages.read_text(encoding="utf-8") == wanted

    def install(
        self,
        requirements: Sequence[Path],
        constraints: Path,
        temporary: Path,
        report: Callable[[str], None],
        foreign: Sequence[Path] = (),
    ) -> None:
        """Install what ``constraints`` pins, by its hashes; ``requirements`` say what it was pinned for.

        foreign: requirements of a ComfyUI of the person's own, which nobody could pin: pip adds what they lack.
        Raises ``LabError`` as ``run_pip`` does.
        """
        self._packages.unlink(missing_ok=True)
        self._forget_halves()
        run_pip(self.python, ["install", "--require-hashes", "-r", str(constraints)], temporary, report)
        if foreign:
            arguments = [argument for file in foreign for argument in ("-r", str(file))]
            run_pip(self.python, ["install", *arguments], temporary, report)
        self._packages.write_text(self._hash([*requirements, *foreign], constraints), encoding="utf-8")

    def damaged(self, thoroughly: bool = False) -> dict[str, list[str]]:
        """Distribution (the name of its ``.dist-info``) to files that are missing or not as pip wrote them.

        thoroughly: compare every file's hash, which reads all of it; else its size, within seconds.
        """
        found: dict[str, list[str]] = {}
        for record in self.folder.glob("**/site-packages/*.dist-info/RECORD"):
            wrong = [name for name, *facts in _recorded(record) if not _is_as(record, name, *facts, thoroughly)]
            if wrong:
                found[record.parent.name] = wrong
        return found

    def forget(self, distributions: Iterable[str]) -> None:
        """Make ``install`` bring these (as ``damaged`` names them) anew."""
        self._packages.unlink(missing_ok=True)
        for name in distributions:
            for record in self.folder.glob(f"**/site-packages/{name}/RECORD"):
                record.unlink()

    def _forget_halves(self) -> None:
        """Make pip forget what a killed pip had not finished.

        pip takes a package for installed once its ``.dist-info`` has METADATA, but writes RECORD last of all.
        """
        for information in self.folder.glob("**/site-packages/*.dist-info"):
            if not (information / "RECORD").is_file():
                shutil.rmtree(information)

    def _hash(self, requirements: Sequence[Path], constraints: Path) -> str:
        digest = hashlib.sha256()
        for file in (*requirements, constraints):
            digest.update(file.read_bytes() + b"\0")
        return digest.hexdigest()


def _recorded(record: Path) -> Iterator[tuple[str, str, str]]:
    """Name (relative to the RECORD's site-packages), hash and size of the files that have them."""
    with record.open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file):
            if len(row) == 3 and row[1] and row[2]:
                yield row[0], row[1], row[2]


def _is_as(record: Path, name: str, digest: str, size: str, thoroughly: bool) -> bool:
    """Whether a file is as its RECORD says."""
    path = record.parent.parent / name
    try:
        if path.stat().st_size != int(size):
            return False
        if not thoroughly:
            return True
        kind, _, wanted = digest.partition("=")
        with path.open("rb") as file:
            found = hashlib.new(kind)
            while block := file.read(1 << 20):
                found.update(block)
        return base64.urlsafe_b64encode(found.digest()).rstrip(b"=").decode() == wanted
    except (OSError, ValueError):
        return False
