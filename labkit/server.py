"""A ComfyUI server of our own: started, waited for, stopped.

with Server(comfyui, base=folder, python=venv_python) as server:
    client = Client(server.url)
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from .errors import LabError
from .outcome import ServerGone
from .programs import how_it_ended
from .tether import end, tethered

__all__ = ["BASE_FOLDERS", "Server", "StartFailed", "free_port", "make_base", "port_is_free", "torch_sees_gpu"]

#: What ``--base-directory`` must hold before the host starts.
BASE_FOLDERS = ("custom_nodes", "models", "input", "output", "user", "temp")
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def free_port() -> int:
    """A TCP port that nobody on this machine listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def port_is_free(port: int) -> bool:
    """Whether a server could listen on ``127.0.0.1:port``."""
    with socket.socket() as probe:
        if os.name != "nt":  # there SO_REUSEADDR would let two servers share a port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def make_base(base: Path) -> Path:
    """Make a base directory with the folders a host expects; returns it."""
    for name in BASE_FOLDERS:
        (base / name).mkdir(parents=True, exist_ok=True)
    return base


@cache
def torch_sees_gpu(python: str | Path) -> bool:
    """Whether that Python's torch finds an accelerator (CUDA, ROCm, XPU or Apple's)."""
    code = (
        "import torch; print(torch.cuda.is_available() or torch.backends.mps.is_available()"
        " or (hasattr(torch, 'xpu') and torch.xpu.is_available()))"
    )
    answer = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False)
    return answer.returncode == 0 and answer.stdout.strip().endswith("True")


class StartFailed(LabError):
    """The host ended by itself before it answered."""


class Server:
    """One host process.

    comfyui: the folder with ``main.py``.
    base: its ``--base-directory`` (custom nodes, models, inputs, outputs); made if it is not there.
    python: the interpreter with the host's packages; this one by default.
    port: listen there, or on a free port when ``None``.
    cpu: compute on the CPU; ``None`` asks torch.
    output: where ``SaveImage`` and the pack's records write; ``base/output`` by default.
    private: where this server alone keeps its log (``server.log``), temporary files and database; ``base`` by default,
        which two servers must not share at the same time.
    extra: further arguments of ``main.py``.
    """

    def __init__(
        self,
        comfyui: Path,
        *,
        base: Path,
        python: str | Path = sys.executable,
        port: int | None = None,
        cpu: bool | None = None,
        output: Path | None = None,
        private: Path | None = None,
        extra: Sequence[str] = (),
    ) -> None:
        self.comfyui = Path(comfyui).resolve()
        self.base = Path(base).resolve()
        self.python = str(python)
        self.port = port
        self.cpu = cpu
        self.output = Path(output).resolve() if output else self.base / "output"
        self.private = Path(private).resolve() if private else self.base
        self.log = self.private / "server.log"
        self.extra = tuple(extra)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """The host's process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self, timeout: float = 300.0, on_wait: Callable[[float], None] | None = None) -> Server:
        """Start the host and come back when it answers.

        timeout: seconds without a new line in its log; the first start on a cold disk reads several GB of libraries.
        on_wait: called with the seconds waited, about twice a second.
        Raises ``LabError``: not a ComfyUI, port taken, or it does not come up (with the last lines of its log).
        """
        self._check()
        make_base(self.base)
        self.private.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", "PYTHONNOUSERSITE": "1"}
        with self.log.open("wb") as log:
            self._process = tethered(
                self.python,
                self.arguments(),
                cwd=self.comfyui,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait(timeout, on_wait)
        except BaseException:
            self.stop()
            raise
        return self

    def arguments(self) -> list[str]:
        """``main.py`` and its arguments."""
        if self.cpu is None:
            self.cpu = not torch_sees_gpu(self.python)
        options = ["--listen", "127.0.0.1", "--port", str(self.port), "--base-directory", str(self.base)]
        options += ["--output-directory", str(self.output), "--disable-api-nodes", "--disable-auto-launch"]
        options += ["--temp-directory", str(self.private)]  # the host makes, and empties, a folder temp in it
        if self.cpu:
            options.append("--cpu")
        # By default the host's database lies in its own tree, which is not ours to write to, and two servers of one
        # tree would fight over it.
        if "--database-url" in (self.comfyui / "comfy" / "cli_args.py").read_text(encoding="utf-8"):
            options += ["--database-url", f"sqlite:///{(self.private / 'comfyui.db').as_posix()}"]
        return [str(self.comfyui / "main.py"), *options, *self.extra]

    def stop(self, timeout: float = 10.0) -> None:
        """End the host: first asked, then, after ``timeout`` seconds, forced. Stopping twice is fine."""
        if self._process is not None:
            end(self._process, timeout)
            self._process = None

    def why_gone(self) -> str | None:
        """``how_it_ended`` of a host that has just stopped to answer: its process may be a moment behind."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(3.0)
        return self.how_it_ended()

    def how_it_ended(self) -> str | None:
        """One sentence about a host that ended by itself or was killed, with the end of its log; ``None`` otherwise."""
        status = self._process.poll() if self._process else None
        if status is None:
            return None
        return f"{how_it_ended('ComfyUI', self._process.pid, status)} {self._log_says()}"

    def tail(self, lines: int = 20) -> str:
        """The last lines of the log, without colours."""
        if not self.log.exists():
            return ""
        text = self.log.read_bytes()[-64 * 1024 :].decode("utf-8", errors="replace")
        return "\n".join(_COLOUR.sub("", text).rstrip().splitlines()[-lines:])

    def __enter__(self) -> Server:
        return self.start() if self._process is None else self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        ended = self.why_gone() if isinstance(error, ServerGone) else None
        self.stop()
        if ended:
            raise LabError(ended) from error

    def _check(self) -> None:
        if not (self.comfyui / "main.py").is_file() or not (self.comfyui / "comfy" / "cli_args.py").is_file():
            raise LabError(f"{self.comfyui} is not a ComfyUI folder: there is no main.py beside comfy/ in it.")
        if self.port is None:
            self.port = free_port()
        elif not port_is_free(self.port):
            raise LabError(f"Port {self.port} is taken by another program: choose another one with --port.")

    def _wait(self, timeout: float, on_wait: Callable[[float], None] | None) -> None:
        started = heard = time.monotonic()
        said = 0
        while True:
            assert self._process is not None
            waited = time.monotonic() - started
            if (size := self.log.stat().st_size) != said:  # slow is not stuck
                said, heard = size, time.monotonic()
            status = self._process.poll()
            if status is not None:
                if status in (-signal.SIGTERM, -getattr(signal, "SIGKILL", signal.SIGTERM)):
                    raise LabError(f"{how_it_ended('ComfyUI', self._process.pid, status)} {self._log_says()}")
                raise StartFailed(f"ComfyUI ended with status {status} before it came up. {self._log_says()}")
            if self._answers():
                return
            if time.monotonic() - heard > timeout:
                raise LabError(
                    f"ComfyUI did not come up within {waited:.0f} seconds, the last {timeout:.0f} of them without a "
                    f"word. {self._log_says()}"
                )
            if on_wait:
                on_wait(waited)
            time.sleep(0.25)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/system_stats", timeout=5) as answer:
                return "system" in json.load(answer)
        except (urllib.error.URLError, OSError, ValueError):
            return False

    def _log_says(self) -> str:
        return f"The end of its log ({self.log}):\n{self.tail()}"
