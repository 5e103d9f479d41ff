"""Where the nodes of a template go: computed from how large they are after a run, so that none covers another.

A template keeps what a person decided: which group a node is in, which column of the group, and the order in a column
(all of it read from where things lie now). This makes room: columns side by side, nodes below each other, a frame
around each group, groups below each other in columns of their own. ``lab.py bench templates`` measures and arranges.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

__all__ = ["arranged", "collisions", "outside_of_groups"]

Json = dict[str, Any]
#: x, y, width and height, title bar included.
Rectangle = tuple[float, float, float, float]
_Item = TypeVar("_Item")

TITLE = 30  # of a node, above its position
GAP_X, GAP_Y = 40, 34  # between nodes; above a node there is room for the badge that names its pack
PADDING, HEADER = 20, 56  # of a group
BETWEEN = 50  # groups
SAME_COLUMN = 60  # left edges nearer than this are one column


def arranged(workflow: Json, sizes: Mapping[str, tuple[float, float]]) -> Json:
    """A copy of ``workflow`` whose nodes have the given sizes (by id; title bar included) and do not touch."""
    workflow = copy.deepcopy(workflow)
    groups = workflow.get("groups") or []
    free = [node for node in workflow["nodes"] if not any(_is_in(node, group) for group in groups)]
    blocks: list[tuple[Json | None, list[Json]]] = [(None, [node]) for node in free]
    blocks += [(group, [node for node in workflow["nodes"] if _is_in(node, group)]) for group in groups]
    x = 20.0
    for column in _columns(blocks, _corner):
        y, right = 40.0, x
        for group, nodes in column:
            width, height = _place_block(group, nodes, sizes, x, y)
            y, right = y + height + BETWEEN, max(right, x + width)
        x = right + BETWEEN
    return workflow


def _place_block(
    group: Json | None, nodes: list[Json], sizes: Mapping[str, tuple[float, float]], left: float, top: float
) -> tuple[float, float]:
    """Place a group, or a node that is in none, with its corner at ``(left, top)``; returns its width and height."""
    pad, header = (PADDING, HEADER) if group else (0, 0)
    x, bottom = left + pad, top + header
    for column in _columns(nodes, lambda node: (node["pos"][0], node["pos"][1])):
        width = max(sizes[str(node["id"])][0] for node in column)
        y = top + header
        for node in column:
            height = sizes[str(node["id"])][1]
            node["pos"], node["size"] = [_whole(x), _whole(y + TITLE)], [_whole(width), _whole(height - TITLE)]
            y += height + GAP_Y
        x, bottom = x + width + GAP_X, max(bottom, y - GAP_Y)
    width, height = x - GAP_X + pad - left, bottom + pad - top
    if group:
        group["bounding"] = [_whole(value) for value in (left, top, width, height)]
    return width, height


def _columns(items: Iterable[_Item], corner: Callable[[_Item], tuple[float, float]]) -> list[list[_Item]]:
    """Items from left to right in columns; in a column from top to bottom."""
    columns: list[list[_Item]] = []
    for item in sorted(items, key=corner):
        if columns and corner(item)[0] - corner(columns[-1][0])[0] < SAME_COLUMN:
            columns[-1].append(item)
        else:
            columns.append([item])
    return [sorted(column, key=lambda item: corner(item)[1]) for column in columns]


def _corner(block: tuple[Json | None, list[Json]]) -> tuple[float, float]:
    group, nodes = block
    return tuple(group["bounding"][:2]) if group else (nodes[0]["pos"][0], nodes[0]["pos"][1] - TITLE)


def _is_in(node: Json, group: Json) -> bool:
    x, y, width, height = group["bounding"]
    return x <= node["pos"][0] < x + width and y <= node["pos"][1] < y + height


def _whole(value: float) -> int:
    return int(-(-value // 1))


def collisions(boxes: Mapping[str, Rectangle], slack: float = 1.0) -> list[tuple[str, str]]:
    """Pairs of rectangles that cover each other by more than ``slack`` pixels in both directions."""
    names = sorted(boxes)
    return [(a, b) for k, a in enumerate(names) for b in names[k + 1 :] if _overlap(boxes[a], boxes[b]) > slack]


def outside_of_groups(
    boxes: Mapping[str, Rectangle], groups: Iterable[tuple[str, Rectangle]], slack: float = 1.0
) -> list[tuple[str, str]]:
    """Nodes that are partly in a group and stick out of it by more than ``slack``: (node, title of the group)."""
    return [
        (name, title)
        for title, group in groups
        for name, box in boxes.items()
        if _overlap(box, group) > slack and not _contains(group, box, slack)
    ]


def _overlap(a: Rectangle, b: Rectangle) -> float:
    """By how much two rectangles cover each other, in the direction where it is less; negative: the gap."""
    return min(min(a[k] + a[k + 2], b[k] + b[k + 2]) - max(a[k], b[k]) for k in (0, 1))


def _contains(outer: Rectangle, inner: Rectangle, slack: float) -> bool:
    return all(
        inner[k] >= outer[k] - slack and inner[k] + inner[k + 2] <= outer[k] + outer[k + 2] + slack for k in (0, 1)
    )
