"""A host for a command: started with one line on the console, in a folder that no other server uses meanwhile."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from . import places
from .console import Console
from .lock import own_folder
from .server import Server, StartFailed
from .setup import Host, mend

__all__ = ["claim_results", "private_folder", "require_writable", "running"]


@contextlib.contextmanager
def private_folder(command: str) -> Iterator[tuple[Path, int]]:
    """Where the server of ``command`` keeps its log, database and temporary files, and its number among its like."""
    with own_folder(places.RUNNING, command) as (folder, number):
        yield folder, number


@contextlib.contextmanager
def running(console: Console, host: Host, private: Path, port: int | None, output: Path) -> Iterator[Server]:
    """The host while it runs. A start that fails for damaged files is tried once more, when they are mended.

    Raises ``LabError``: it does not start, or a ``ServerGone`` inside has its cause in how the host ended.
    """
    server = Server(host.comfyui, base=host.base, python=host.python, port=port, output=output, private=private)
    try:
        _start(console, server)
    except StartFailed as error:
        if not (host.archive or host.environment) or not mend(console, host, thoroughly=False):
            raise StartFailed(
                f"{error}\nIf that looks like a damaged installation: 'python3 lab.py repair' compares every file with "
                "what was installed, and mends it."
            ) from error
        _start(console, server)
    with server:
        yield server


def _start(console: Console, server: Server) -> None:
    with console.step("ComfyUI") as step:
        server.start(on_wait=lambda _: step.update("starting"))
        step.result = f"up at {server.url} on the {'CPU' if server.cpu else 'GPU'}"


def claim_results(output: Path, command: str, number: int) -> Path:
    """A folder for the results of one run, not there yet: the host makes it for the first file, so none stays empty.

    number: what tells apart runs at the same time (see :func:`private_folder`).
    """
    require_writable(output)
    name = time.strftime(f"{command}-%Y%m%d-%H%M%S") + (f"-{number}" if number > 1 else "")
    folder, again = output / name, 1
    while folder.exists():
        again += 1
        folder = output / f"{name}-again{again}"
    return folder


def require_writable(folder: Path) -> None:
    """Make ``folder``, and raise ``OSError`` if no file can be written there."""
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".{os.getpid()}.writable"
    try:
        probe.write_bytes(b"1")
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
