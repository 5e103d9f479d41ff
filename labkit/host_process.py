"""Run a host's ``main.py`` for as long as the process that started it lives.

    python host_process.py /path/to/ComfyUI/main.py --port 8188 …

The starter keeps the other end of our standard input open. When it goes, however it goes (a kill included), we read
the end of the file and go too, so no server is left behind. This works the same on Linux, macOS and Windows.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading


def _leave_with_starter() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)  # a thread cannot end the process otherwise, and there is nothing left to tell anybody


def main() -> None:
    """Become ``main.py``: same ``sys.argv``, same ``sys.path[0]``, same ``__main__``."""
    program = os.path.abspath(sys.argv[1])
    sys.argv = [program, *sys.argv[2:]]
    sys.path[0] = os.path.dirname(program)
    threading.Thread(target=_leave_with_starter, name="leave-with-starter", daemon=True).start()
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
