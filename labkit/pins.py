"""Pin every package of the lab with its hashes: writes ``constraints.txt`` again.

    python3 -m labkit.pins

One resolution for every platform and every Python from 3.10 on, by uv (a package of the index; it is put into a
temporary environment). What is pinned already stays as it is where it can; delete its lines to have a newer one. Run
this when ``requirements.txt``, ``requirements-lab.txt`` or the main host's own list changes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from . import places

__all__ = ["resolve"]

HEAD = """\
# Every package of the lab's environment, for every platform and every Python from 3.10 on, with its files' hashes.
# Written by `python3 -m labkit.pins`; pip installs it with --require-hashes, so nothing else can come in.
"""


def resolve(uv: Path, requirements: list[Path], pins: Path) -> str:
    """The pins of ``requirements`` with hashes, those of the file ``pins`` kept where they can be."""
    with tempfile.TemporaryDirectory() as folder:
        wanted, found = Path(folder) / "wanted.in", Path(folder) / "found.txt"
        wanted.write_text("".join(f"-r {file.as_posix()}\n" for file in requirements), encoding="utf-8")
        found.write_text(pins.read_text(encoding="utf-8"), encoding="utf-8")
        subprocess.run(
            [
                *(str(uv), "pip", "compile", "--universal", "--python-version", "3.10", "--generate-hashes"),
                *("--no-annotate", "--no-header", "--quiet", str(wanted), "--output-file", str(found)),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return found.read_text(encoding="utf-8")


def main() -> None:
    """Write ``constraints.txt``."""
    host = places.unpacked_host()
    if host is None:
        sys.exit("The main host's list of packages is not there: 'python3 lab.py demo' fetches it.")
    requirements = [places.LAB_REQUIREMENTS, places.PACK_REQUIREMENTS, host / "requirements.txt"]
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = places.venv_python(Path(folder))
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "uv"], check=True)
        uv = python.with_name("uv.exe" if os.name == "nt" else "uv")
        pinned = resolve(uv, requirements, places.CONSTRAINTS)
    places.CONSTRAINTS.write_text(HEAD + pinned, encoding="utf-8")


if __name__ == "__main__":
    main()
