"""What ``lab.py bench -h`` says: every benchmark with the first line of its own description."""

from __future__ import annotations

import ast
from pathlib import Path

from . import places

__all__ = ["benchmark_list", "known_benchmarks"]


def known_benchmarks() -> list[str]:
    """Names that ``lab.py bench`` takes."""
    return sorted(path.stem for path in places.BENCHMARKS.glob("*.py") if not path.stem.startswith("_"))


def benchmark_list() -> str:
    """The usage, and one line per benchmark."""
    names = known_benchmarks()
    width = max(map(len, names), default=0)
    lines = [f"  {name:{width}}  {_first_line(places.BENCHMARKS / f'{name}.py')}" for name in names]
    return "\n".join(
        (
            "usage: lab.py bench NAME [--comfyui PATH] [--host-version VERSION] [arguments of the benchmark]",
            "",
            "NAME is one of:",
            *lines,
            "",
            "'lab.py bench NAME -h' tells the arguments of one.",
        )
    )


def _first_line(script: Path) -> str:
    """The first sentence of a file's docstring, as far as it is in the first line."""
    try:
        text = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    except (OSError, SyntaxError, UnicodeDecodeError):
        return ""
    return text.split("\n", 1)[0].split(". ", 1)[0].rstrip(".")
