"""Run a Python program for as long as the process that started it lives.

    python tether.py /path/to/ComfyUI/main.py --port 8188 …
    python tether.py -m pip install …

The starter keeps the other end of our standard input open. When it goes, however it goes (a kill included), we read
the end of the file and go too: no server is left behind, and no pip goes on writing into an environment that the next
``lab.py`` is already repairing. This works the same on Linux, macOS and Windows.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import threading
from collections.abc import Sequence

__all__ = ["tethered"]


def tethered(python: str, arguments: Sequence[str], **options: object) -> subprocess.Popen:
    """Start ``python tether.py ARGUMENTS``; ``options`` are ``Popen``'s. Our end of the tether is its ``stdin``."""
    return subprocess.Popen([python, os.path.abspath(__file__), *arguments], stdin=subprocess.PIPE, **options)


def _leave_with_starter() -> None:
    while os.read(0, 4096):  # not sys.stdin: Python would wait for its lock when it ends
        pass
    os._exit(3)  # a thread cannot end the process otherwise, and there is nobody left to tell


def main() -> None:
    """Become the program: same ``sys.argv``, same ``sys.path[0]``, same ``__main__``."""
    threading.Thread(target=_leave_with_starter, name="leave-with-starter", daemon=True).start()
    if sys.argv[1] == "-m":
        module = sys.argv[2]
        sys.argv = [module, *sys.argv[3:]]
        sys.path.pop(0)
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        program = os.path.abspath(sys.argv[1])
        sys.argv = [program, *sys.argv[2:]]
        sys.path[0] = os.path.dirname(program)
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
