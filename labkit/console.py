"""What the person at the terminal sees: one line a step, its progress in the same line.

    • Python packages … 131 packages, 74 s

On a terminal the line is rewritten as the step goes on. Into a file or a CI log, where that would only make a mess,
the progress comes as a further line every now and then.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Iterator
from typing import TextIO

__all__ = ["Console", "Step"]

_QUIET_SECONDS = 15.0  # between progress lines where a line cannot be rewritten


class Step:
    """A step under way. ``update`` says how far it is; ``result`` is what its line ends with."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._started = time.monotonic()
        self._last = self._started
        self.result: str | None = None

    @property
    def seconds(self) -> float:
        """Since the step began."""
        return time.monotonic() - self._started

    def update(self, text: str) -> None:
        """Show where the step is; cheap to call often."""
        now = time.monotonic()
        if self._console.rewrites:
            if now - self._last >= 0.1:
                self._last = now
                self._console.rewrite(f"• {self._title} … {text} ({self.seconds:.0f} s)")
        elif now - self._last >= _QUIET_SECONDS:
            self._last = now
            self._console.line(f"  … {text} ({self.seconds:.0f} s)")

    def finish(self) -> None:
        """The step's last words: its result, and how long it took where that is worth a word."""
        took = f", {self.seconds:.0f} s" if self.seconds >= 1 else ""
        self._console.line(f"• {self._title} … {self.result or 'done'}{took}")


class Console:
    """Writes to ``stream``, the standard output unless another one is given."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout
        if hasattr(self.stream, "reconfigure"):
            self.stream.reconfigure(errors="replace")  # a console that has no • shows a ? and does not end the run
        self.rewrites = self.stream.isatty()

    def line(self, text: str = "") -> None:
        """One line."""
        self.stream.write(("\r\x1b[K" if self.rewrites else "") + text + "\n")
        self.stream.flush()

    def rewrite(self, text: str) -> None:
        """Replace the line that is being written, on a terminal."""
        width = shutil.get_terminal_size().columns - 1
        self.stream.write("\r\x1b[K" + text[:width])
        self.stream.flush()

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """A step: announced, then finished with its result; nothing more is said when it fails (the error will be)."""
        step = Step(self, title)
        if self.rewrites:
            self.rewrite(f"• {title} …")
        try:
            yield step
        except BaseException:
            if self.rewrites:
                self.line(f"• {title} … not finished")
            raise
        step.finish()
