"""How long a test waits: until nothing goes on any more, or a limit that grows on a slow or busy machine.

A limit is there to find what hangs. It must not find that a machine is slow.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from functools import cache

import psutil

__all__ = ["computed", "eventually", "patience", "run_while_it_works", "slowness"]

#: Seconds that the work below took where the limits were chosen (an otherwise idle core).
_REFERENCE = 0.1
#: Seconds in which a process that is not stuck computes for at least one second.
IDLE = 300.0


@cache
def slowness() -> float:
    """How much longer this machine takes than the one where the limits were chosen; at least 1. Measured once."""
    began = time.perf_counter()
    total = 0
    for k in range(1_500_000):
        total += k & 3
    return max(1.0, (time.perf_counter() - began) / _REFERENCE)


def patience(seconds: float) -> float:
    """A limit of ``seconds``, on this machine."""
    return seconds * slowness()


def run_while_it_works(command: list[str], idle: float = IDLE, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a program for as long as it computes, however slowly; its standard output and error as text.

    Raises ``TimeoutError`` when it (with what it started) has not computed for one second within ``idle`` seconds.
    """
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options) as process:
        used, since = 0.0, time.monotonic()
        while True:
            try:
                said, errors = process.communicate(timeout=1.0)
                return subprocess.CompletedProcess(command, process.returncode, said, errors)
            except subprocess.TimeoutExpired:
                now = computed(process.pid)
            if now - used >= 1.0:
                used, since = now, time.monotonic()
            elif time.monotonic() - since > idle:
                process.kill()
                said, errors = process.communicate()
                raise TimeoutError(f"{command[1:3]} has not computed for {idle:.0f} seconds. {errors[-3000:]}")


def computed(pid: int) -> float:
    """Processor seconds of a process and of what it has started and not yet waited for."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return sum(sum(each.cpu_times()[:4]) for each in family)
    except psutil.Error:
        return 0.0


def eventually(condition: Callable[[], object], seconds: float = 30.0) -> object:
    """The first true value of ``condition``; fails when none comes within the machine's ``patience(seconds)``."""
    ends = time.monotonic() + patience(seconds)
    while time.monotonic() < ends:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError("it never happened")
