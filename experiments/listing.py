"""What can be set in a workflow: the nodes' own options, as the host tells them, and parts that can be added."""

from __future__ import annotations

from typing import Any

from .graph import Template
from .options import PREFIX, is_value, limits_of

__all__ = ["option_lines"]


def option_lines(template: Template) -> list[str]:
    """The options of each node type: dotted name, value now, what is allowed, and the node's sentence."""
    present: dict[str, dict[str, Any]] = {}
    for node in template.graph.values():
        present.setdefault(node["class_type"], node["inputs"])
    lines = []
    for node_type in [*present, *_parts(template, present)]:
        info = template.object_info[node_type]
        added = "" if node_type in present else " (added to the workflow when one of these is set)"
        options = _options(node_type, info, present.get(node_type, {}))
        lines += [f"{info.get('display_name') or node_type}{added}", *options, ""] if options else []
    return lines


def _parts(template: Template, present: dict[str, Any]) -> list[str]:
    """Our node types that fit into an open input of the workflow's nodes."""
    taken = {
        spec[0]
        for node_type in present
        if node_type.startswith(PREFIX)
        for spec in (template.object_info[node_type]["input"].get("optional") or {}).values()
    }
    return [
        name
        for name, info in template.object_info.items()
        if name.startswith(PREFIX) and name not in present and (info.get("output") or [None])[0] in taken
    ]


def _options(node_type: str, info: dict[str, Any], now: dict[str, Any]) -> list[str]:
    lines = []
    for group in ("required", "optional"):
        for name, spec in (info["input"].get(group) or {}).items():
            if not is_value(spec) or isinstance(now.get(name), list):
                continue
            limits = spec[1] if len(spec) > 1 else {}
            value = now.get(name, limits.get("default"))
            dotted = f"{node_type.removeprefix(PREFIX)}.{name}"
            lines.append(f"  {dotted}={value}  ({limits_of(spec)})")
            if limits.get("tooltip"):
                lines.append(f"      {limits['tooltip']}")
    return lines
