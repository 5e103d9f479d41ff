"""Run a Python program for as long as the process that started it lives.

    python tether.py /path/to/ComfyUI/main.py --port 8188 ...
    python tether.py -m pip install ...
    python tether.py -m sampler_lab.experiments.cli exp0     (the pack of this checkout)
    python tether.py --fd 7 -m pytest                        (the tether is not the standard input)

The starter keeps the other end of a pipe open. When it goes, however it goes (a kill included), we read the end of the
file and go too: no server is left behind, and no pip goes on writing into an environment that the next ``lab.py`` is
already repairing. This works the same on Linux, macOS and Windows.

A program that takes notice of SIGTERM is asked first: it may have a prompt to take back on somebody's server.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence

__all__ = ["end", "tethered", "tethered_with_keyboard"]

#: Seconds that a program which takes notice of SIGTERM has to tidy up when its starter is gone.
GRACE = 10.0
PACK = "sampler_lab"


def tethered(python: str, arguments: Sequence[str], **options: object) -> subprocess.Popen:
    """Start ``python tether.py ARGUMENTS``; ``options`` are ``Popen``'s. Our end of the tether is its ``stdin``.

    It is the first of a process group of its own (not on Windows): Ctrl-C is for us, and what it starts ends with it.
    """
    options.setdefault("start_new_session", os.name != "nt")
    options.setdefault("creationflags", getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0))
    return subprocess.Popen([python, os.path.abspath(__file__), *arguments], stdin=subprocess.PIPE, **options)


@contextlib.contextmanager
def tethered_with_keyboard(python: str, arguments: Sequence[str], **options: object) -> Iterator[subprocess.Popen]:
    """The same for a program that may ask the person something (``pytest --pdb``): its standard input is ours.

    It stays in our process group, so that Ctrl-C and the keyboard reach it. The tether holds inside the ``with``.
    """
    command = [python, os.path.abspath(__file__)]
    if os.name == "nt":
        # A console that is closed ends all its programs; without one there is no keyboard to keep.
        stdin = None if sys.stdin is not None and sys.stdin.isatty() else subprocess.PIPE
        flag = [] if stdin else ["--no-tether"]
        yield subprocess.Popen([*command, *flag, *arguments], stdin=stdin, **options)
        return
    theirs, ours = os.pipe()
    try:
        with os.fdopen(theirs):
            child = subprocess.Popen([*command, "--fd", str(theirs), *arguments], pass_fds=[theirs], **options)
        yield child
    finally:
        os.close(ours)


def end(child: subprocess.Popen, patience: float = 10.0) -> int:
    """End a tethered program: asked first, and after ``patience`` seconds forced, with what it started; its status."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(patience)
        except subprocess.TimeoutExpired:
            _kill(child)
    if child.stdin:
        with contextlib.suppress(OSError):
            child.stdin.close()
    return child.wait()


def _kill(child: subprocess.Popen) -> None:
    """Without asking; with its process group where it leads one."""
    with contextlib.suppress(ProcessLookupError):
        if os.name != "nt" and os.getpgid(child.pid) == child.pid:
            os.killpg(child.pid, signal.SIGKILL)
    child.kill()


def _leave_with_starter(tether: int) -> None:
    while os.read(tether, 4096):  # not sys.stdin: Python would wait for its lock when it ends
        pass
    if callable(signal.getsignal(signal.SIGTERM)):
        if hasattr(signal, "pthread_kill"):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)  # wakes it where it waits
        else:
            signal.raise_signal(signal.SIGTERM)
        time.sleep(GRACE)  # a daemon's sleep: it ends with the program
    if os.name != "nt" and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(3)  # a thread cannot end the process otherwise, and there is nobody left to tell


def _watch(arguments: list[str]) -> list[str]:
    """Hold on to the starter; what is left of the arguments."""
    if arguments[0] == "--no-tether":
        return arguments[1:]
    tether = 0
    if arguments[0] == "--fd":
        tether, arguments = int(arguments[1]), arguments[2:]
        os.set_inheritable(tether, False)
    threading.Thread(target=_leave_with_starter, args=(tether,), name="leave-with-starter", daemon=True).start()
    return arguments


def main() -> None:
    """Become the program: same ``sys.argv``, same ``sys.path[0]``, same ``__main__``."""
    arguments = _watch(sys.argv[1:])
    if arguments[0] == "-m":
        module = arguments[1]
        sys.argv = [module, *arguments[2:]]
        sys.path.pop(0)
        if module.startswith(f"{PACK}."):
            _find_pack()
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        program = os.path.abspath(arguments[0])
        sys.argv = [program, *arguments[1:]]
        sys.path[0] = os.path.dirname(program)
        runpy.run_path(program, run_name="__main__")


def _find_pack() -> None:
    """Register this checkout under the pack's name, as ``lab.py`` does."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path.insert(0, root)
    importlib.import_module("lab").import_pack(PACK)
    sys.path.remove(root)


if __name__ == "__main__":
    main()
