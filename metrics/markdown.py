"""Tables in Markdown, for reports, nodes and pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["markdown_table"]


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The lines of a table; a bar inside a cell would begin another one, so it becomes a slash.

    >>> print(markdown_table(["a", "b"], [["1|2", "3"]]))
    | a | b |
    | --- | --- |
    | 1/2 | 3 |
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
