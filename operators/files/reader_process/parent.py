"""The host's side of the reading process: starts it, asks it, and survives whatever happens to it."""

from __future__ import annotations

import atexit
import contextlib
import json
import math
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..stored_array import Refused

__all__ = ["MEMORY", "READER", "SECONDS", "ReaderProcess"]

#: A reading that takes longer than this many seconds is ended; a large array has more, for slow and busy machines.
SECONDS = 60.0
BYTES_PER_SECOND = 1e7
#: Address space of the reading process in bytes (where the system has such a limit): four times the largest array.
MEMORY = 4 * 2**30
MAX_HEAD = 2**26
POLL_SECONDS = 0.05


class _Gone(Exception):
    """The process ended before it had answered."""


class ReaderProcess:
    """A process that reads files, started when it is needed, and again when it has died.

    It serves one request after the other. When it dies in a request and had served others before, the file gets a
    second chance in a new process, for the damage may be an earlier file's.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None
        self._lock = threading.Lock()
        atexit.register(self.close)

    @property
    def pid(self) -> int | None:
        """The number of the running process, None when there is none."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def arrays(self, path: Path, file_format: str, interrupt: Callable[[], None]) -> list[dict[str, Any]]:
        """Name, shape, dtype, stored bytes and reason of refusal of every array in the file."""
        head, _ = self._ask(path, {"do": "list", "format": file_format}, interrupt, SECONDS)
        return head["arrays"]

    def read(
        self, path: Path, file_format: str, name: str, frame: int | None, size: int, interrupt: Callable[[], None]
    ) -> np.ndarray:
        """The values of one array, or of one index of its first axis: some ``size`` bytes.

        Raises:
            ValueError: damaged, too slow, too large, a package is missing: one sentence each.
        """
        request = {"do": "read", "format": file_format, "name": name, "frame": frame}
        head, content = self._ask(path, request, interrupt, SECONDS + size / BYTES_PER_SECOND)
        if "text" in head:
            return np.array(head["text"], dtype=str).reshape(head["shape"])
        dtype = np.dtype(head["dtype"])
        if dtype.kind not in "biufc" or math.prod(head["shape"]) * dtype.itemsize != len(content):
            raise Refused(f"{path.name!r} is damaged; save it again.")
        return np.frombuffer(content, dtype).reshape(head["shape"])

    def close(self) -> None:
        """End the process, whatever it is doing."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):  # half a request may be on its way
                    if stream is not None:
                        stream.close()

    def _ask(
        self, path: Path, request: dict[str, Any], interrupt: Callable[[], None], seconds: float
    ) -> tuple[dict[str, Any], Any]:
        request = {**request, "path": os.path.abspath(path), "seconds": seconds}
        with self._lock:
            try:
                head, content = self._exchange(path.name, request, interrupt)
            except _Gone as problem:
                raise Refused(
                    f"{path.name!r} is damaged: the process that read it crashed ({problem}); save the file again, or "
                    "write its array as .npz."
                ) from None
            except BaseException:  # cancelled, too slow, no more memory: what it was doing is wanted no longer
                self.close()
                raise
        if "missing" in head:
            name = head["missing"]
            raise Refused(f"{path.name!r} needs the Python package {name!r}; install it with: pip install {name}.")
        if "memory" in head:
            raise Refused(
                f"{path.name!r} needs more than {MEMORY / 2**30:.3g} GiB of memory to be read, so it may be damaged; "
                "save it again, or write its array as .npz."
            )
        if "problem" in head:
            raise OSError(head["problem"])
        return head, content

    def _exchange(
        self, file: str, request: dict[str, Any], interrupt: Callable[[], None]
    ) -> tuple[dict[str, Any], bytearray]:
        if self.pid is not None:
            with contextlib.suppress(_Gone):
                return self._answer(file, request, interrupt)
        self.close()
        self._start(file)
        try:
            return self._answer(file, request, interrupt)
        except _Gone:
            self.close()
            raise

    def _start(self, file: str) -> None:
        flags = (("-s", sys.flags.no_user_site), ("-E", sys.flags.ignore_environment))
        program = str(Path(__file__).with_name("child.py"))
        one_thread = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        try:
            self._process = subprocess.Popen(
                [sys.executable, *(flag for flag, on in flags if on), program, str(MEMORY)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pipesize=2**20,  # fewer turns for a large array, where the system lets one choose
                env={**os.environ, **one_thread},  # every thread of a linear algebra library reserves address space
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as problem:
            raise Refused(
                f"{file!r} is read by a Python process of its own, which could not be started ({problem}); write its "
                "array as .npz, which needs none."
            ) from None

    def _answer(
        self, file: str, request: dict[str, Any], interrupt: Callable[[], None]
    ) -> tuple[dict[str, Any], bytearray]:
        process, done = self._process, threading.Event()
        if process is None or process.stdin is None or process.stdout is None:
            raise _Gone("it was not started")
        into, out_of = process.stdin, process.stdout
        received: list[tuple[dict[str, Any], bytearray] | Exception] = []
        seconds = request["seconds"]
        ends = time.monotonic() + seconds

        def arriving() -> None:  # an answer that is on its way is not given up
            nonlocal ends
            ends = time.monotonic() + seconds

        def exchange() -> None:
            try:
                into.write(json.dumps(request).encode() + b"\n")
                into.flush()
                received.append(_receive(out_of, arriving))
            except (OSError, ValueError, EOFError, MemoryError) as problem:
                received.append(problem)
            finally:
                done.set()

        threading.Thread(target=exchange, daemon=True).start()
        while not done.wait(POLL_SECONDS):
            interrupt()
            if time.monotonic() > ends:
                raise Refused(
                    f"{file!r} could not be read within {seconds:.3g} seconds, so it may be damaged; save it again, or "
                    "write its array as .npz."
                )
        (result,) = received
        if isinstance(result, MemoryError):
            raise Refused(f"{file!r} does not fit into memory; set frame if it is a stack.") from None
        if isinstance(result, Exception):
            process.kill()
            code = process.wait()
            raise _Gone(f"signal {-code}" if code < 0 else f"exit code {code:#x}")
        return result


def _receive(stream: Any, arriving: Callable[[], None]) -> tuple[dict[str, Any], bytearray]:
    head_length, length = struct.unpack(">QQ", _exactly(stream, 16, arriving))
    if head_length > MAX_HEAD or length > MEMORY:
        raise ValueError("no answer of ours")
    return json.loads(_exactly(stream, head_length, arriving)), _exactly(stream, length, arriving)


def _exactly(stream: Any, count: int, arriving: Callable[[], None]) -> bytearray:
    content = bytearray(count)
    view, got = memoryview(content), 0
    while got < count:
        step = stream.readinto1(view[got:])
        if not step:
            raise EOFError
        got += step
        arriving()
    return content


#: The one of this Python.
READER = ReaderProcess()
