"""What the person at the terminal sees: one line per step, its progress in the same line.

    • Python packages (torch is large) … installed, 74 s

On a terminal the line is rewritten as the step goes on, once a second at least, so that one sees that it lives. Into a
file or a CI log, where that would only make a mess, the progress comes as a further line every quarter of a minute.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from typing import TextIO

__all__ = ["Console", "Step"]

_REWRITE_SECONDS, _LINE_SECONDS = 0.1, 15.0


class Step:
    """A step under way. ``update`` says how far it is; ``result`` is what its line ends with."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._text = ""
        self._started = self._shown = time.monotonic()
        self._over = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)
        self.result: str | None = None

    @property
    def seconds(self) -> float:
        """Since the step began."""
        return time.monotonic() - self._started

    def update(self, text: str) -> None:
        """Say where the step is; cheap to call often."""
        self._text = text
        self._show()

    def __enter__(self) -> Step:
        self._console.rewrite(f"• {self._title} …")
        self._ticker.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._over.set()
        self._ticker.join()
        took = f", {self.seconds:.0f} s" if self.seconds >= 1 else ""
        self._console.line(f"• {self._title} … {self.result or 'done' if kind is None else 'not finished'}{took}")

    def _tick(self) -> None:
        while not self._over.wait(1.0):
            self._show()

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._shown < (_REWRITE_SECONDS if self._console.rewrites else _LINE_SECONDS):
            return
        self._shown = now
        if self._console.rewrites:
            self._console.rewrite(f"• {self._title} … {self._text} ({self.seconds:.0f} s)")
        else:
            self._console.line(f"  {self._title} … {self._text} ({self.seconds:.0f} s)")


class Console:
    """Writes to ``stream``, the standard output unless another one is given."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout
        if hasattr(self.stream, "reconfigure"):
            self.stream.reconfigure(errors="replace")  # a console that has no • shows a ? and does not end the run
        self.rewrites = self.stream.isatty()
        self._lock = threading.Lock()

    def line(self, text: str = "") -> None:
        """One line."""
        self._write(text + "\n")

    def rewrite(self, text: str) -> None:
        """Replace the line that is being written; nothing where a line cannot be replaced."""
        if self.rewrites:
            self._write(text[: shutil.get_terminal_size().columns - 1])

    def step(self, title: str) -> Step:
        """A step of the work: one line, finished with its ``result``, or as not finished when it raises."""
        return Step(self, title)

    def _write(self, text: str) -> None:
        with self._lock:
            self.stream.write(("\r\x1b[K" if self.rewrites else "") + text)
            self.stream.flush()
