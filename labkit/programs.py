"""Programs that a command starts and waits for: none outlives us, and what ends one from outside is named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .tether import end, tethered_with_keyboard

__all__ = ["Terminated", "how_it_ended", "obey_sigterm", "run_program"]

_PATIENCE = 15.0  # seconds that a program has to tidy up after Ctrl-C


class Terminated(KeyboardInterrupt):
    """SIGTERM, or a closed terminal: we stop as after Ctrl-C."""


def obey_sigterm() -> Callable[[], None]:
    """From now on SIGTERM and SIGHUP raise ``Terminated`` once, so that we leave no mess; returns what undoes that."""

    def stop(_number: int, _frame: object) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)  # one is enough: tidying up shall not be interrupted
        raise Terminated

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {getattr(signal, name): signal.getsignal(getattr(signal, name)) for name in names}
    before = {number: handler for number, handler in before.items() if handler == signal.SIG_DFL}
    for number in before:  # one that nohup ignores stays ignored
        signal.signal(number, stop)

    def undo() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    return undo


def how_it_ended(what: str, pid: int, status: int) -> str:
    """One sentence about a process that did not end by itself.

    status: as ``Popen`` has it (``-N``: by signal N) or a shell (``128 + N``).
    """
    number = -status if status < 0 else status - 128 if status in (134, 137, 139) else 0
    if number == 0:
        return f"{what} (process {pid}) ended with status {status}."
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if name == "SIGKILL":
        return (
            f"{what} (process {pid}) was killed from outside (SIGKILL); mostly the system does that when the memory is "
            "full: close other programs or ask for less (fewer particles, a smaller picture), and start again."
        )
    if name in ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE"):
        return (
            f"{what} (process {pid}) crashed ({name}): 'python3 lab.py repair' checks and mends the installation; "
            "then start again."
        )
    return f"{what} (process {pid}) was stopped from outside ({name}); start again, and it goes on from there."


def run_program(
    what: str, python: Path | str, arguments: Sequence[str], *, cwd: Path, environment: Mapping[str, str]
) -> int:
    """Run a Python program as ``tether.py`` takes it, with our keyboard and screen; its exit status.

    what: its name at the beginning of a sentence. A program that is killed is named on the standard error, and the
    status is the shell's, 128 + N. Raises ``KeyboardInterrupt`` when it had to be stopped with us.
    """
    with tethered_with_keyboard(str(python), arguments, cwd=cwd, env=dict(environment)) as child:
        try:
            status = child.wait()
        except KeyboardInterrupt as error:
            status = _let_it_stop(child, asked=not isinstance(error, Terminated))
            if status < 0:
                raise
            return status
        except BaseException:
            end(child)
            raise
    if status < 0 or (os.name != "nt" and status in (134, 137, 139)):
        print(how_it_ended(what, child.pid, status), file=sys.stderr)
    return 128 - status if status < 0 else status


def _let_it_stop(child: subprocess.Popen, asked: bool) -> int:
    """Wait for a program to stop after Ctrl-C, which a terminal sends to it as well (then it was ``asked``)."""
    try:
        if asked:
            return child.wait(_PATIENCE / 3)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        pass
    return end(child, _PATIENCE)
