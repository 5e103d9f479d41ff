"""From the editor's workflow JSON to the prompt queue's: what the editor does when Run is pressed.

The editor saves pictures of nodes: positions, sockets, and the values of widgets as a bare list in the order in which
they are shown. The queue wants ``{id: {"class_type", "inputs": {name: value or [id, slot]}}}``. The names belonging to
the values come from the host's ``/object_info``; widgets that the editor adds by itself are skipped.

Checked against the editor itself (``tests/lab/test_workflow_editor.py``). Subgraphs and group nodes are not supported.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .errors import LabError

__all__ = ["WorkflowError", "to_api"]

Json = dict[str, Any]

_MUTED, _BYPASSED = 2, 4  # a node's "mode"
_NOTES = {"Note", "MarkdownNote"}
_WIDGET_TYPES = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
_CONTROL_VALUES = {"fixed", "increment", "decrement", "randomize", "increment-wrap"}
_UPLOADS = ("image_upload", "video_upload", "animated_image_upload")


class WorkflowError(LabError, ValueError):
    """The workflow cannot be turned into a graph for the queue."""


def to_api(workflow: Json, object_info: Json) -> Json:
    """The prompt that the editor would queue for ``workflow`` (as saved by it) on a host with this ``object_info``.

    Raises ``WorkflowError`` for a node type that the host does not know, and for subgraphs.
    """
    graph = _Graph(workflow)
    prompt: Json = {}
    for key, node in graph.nodes.items():
        kind = node["type"]
        if graph.is_virtual(node) or node.get("mode", 0) in (_MUTED, _BYPASSED):
            continue
        if kind not in object_info:
            raise WorkflowError(f"Node {key} of the workflow is a {kind!r}, which this host does not have.")
        info = object_info[kind]
        inputs = dict(_widget_values(node, info))
        for slot in node.get("inputs") or []:
            if slot.get("link") is None:
                continue
            source = graph.source(slot["link"])
            if source is not None:
                inputs[slot["name"]] = source
            elif "widget" not in slot:
                inputs.pop(slot["name"], None)
        title = node.get("title") or info.get("display_name") or kind
        prompt[key] = {"class_type": kind, "inputs": inputs, "_meta": {"title": title}}
    return prompt


class _Graph:
    """Nodes and links by id, and where a link really comes from."""

    def __init__(self, workflow: Json) -> None:
        try:
            self.nodes: dict[str, Json] = {str(node["id"]): node for node in workflow["nodes"]}
            links = [_link(link) for link in workflow.get("links") or []]
        except (KeyError, TypeError, IndexError) as error:
            raise WorkflowError(
                "This is not a workflow saved by the editor: it has no nodes and links (an API graph can be queued as "
                "it is)."
            ) from error
        self.links = {link: (str(origin), slot) for link, origin, slot in links}
        subgraphs = {each["id"] for each in (workflow.get("definitions") or {}).get("subgraphs") or []}
        for key, node in self.nodes.items():
            if node["type"] in subgraphs:
                raise WorkflowError(f"Node {key} of the workflow is a subgraph: unpack it in the editor first.")

    def is_virtual(self, node: Json) -> bool:
        """Whether the node exists in the editor only."""
        return node["type"] in _NOTES or node["type"] in ("Reroute", "PrimitiveNode")

    def source(self, link: int) -> list[Any] | Any | None:
        """``[node id, slot]`` at the start of a link, past reroutes and bypassed nodes; the value of a primitive;
        ``None`` where it leads nowhere."""
        seen = set()
        while link is not None and link not in seen and link in self.links:
            seen.add(link)
            key, slot = self.links[link]
            node = self.nodes.get(key)
            if node is None or node.get("mode", 0) == _MUTED:
                return None
            if node.get("mode", 0) == _BYPASSED:
                link = _bypass(node, slot)
            elif node["type"] == "Reroute":
                link = node["inputs"][0].get("link")
            elif node["type"] == "PrimitiveNode":
                values = node.get("widgets_values") or [None]
                return values[0]
            else:
                return [key, slot]
        return None


def _link(link: Any) -> tuple[int, Any, int]:
    """(id, origin node, origin slot) of a link: a list in the format 0.4, an object in the format 1."""
    if isinstance(link, dict):
        return link["id"], link["origin_id"], link["origin_slot"]
    return link[0], link[1], link[2]


def _bypass(node: Json, slot: int) -> int | None:
    """The link that passes through a bypassed node to its output ``slot``: of the same type, the same index first."""
    inputs = node.get("inputs") or []
    kind = node["outputs"][slot]["type"]
    for index in (slot, *range(len(inputs))):
        if index < len(inputs) and inputs[index].get("type") == kind:
            return inputs[index].get("link")
    return None


def _widget_values(node: Json, info: Json) -> Iterator[tuple[str, Any]]:
    """Name and value of every widget of a node."""
    saved = node.get("widgets_values")
    if isinstance(saved, dict):
        yield from ((name, value) for name, value in saved.items() if name in dict(_specs(info["input"])))
        return
    reader = _Values(list(saved or []))
    for name, spec in _specs(info["input"]):
        yield from _read(name, spec, node, reader)


class _Values:
    """The saved values, taken one by one."""

    def __init__(self, values: list[Any]) -> None:
        self._values = values

    def take(self, default: Any) -> Any:
        """The next value; the widget's default once the list, saved by an older version of the node, is at its end."""
        return self._values.pop(0) if self._values else default

    def skip_if(self, values: set[str]) -> bool:
        """Leave out the value of a widget of the editor's own, if it is there."""
        if self._values and isinstance(self._values[0], str) and self._values[0] in values:
            self._values.pop(0)
            return True
        return False


def _specs(inputs: Json) -> Iterator[tuple[str, Any]]:
    for group in ("required", "optional"):
        yield from (inputs.get(group) or {}).items()


def _read(name: str, spec: Any, node: Json, values: _Values) -> Iterator[tuple[str, Any]]:
    """The value of one input, and of those that it brings along."""
    kind, options = spec[0], (spec[1] if len(spec) > 1 else {})
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is not None:
        yield from reader(name, options, node, values)
    elif _is_widget(kind, options, _slot(name, node)):
        yield name, _boxed(values.take(_default(kind, options)))
        _skip_beside(name, kind, options, values)


def _read_choice(name: str, options: Json, node: Json, values: _Values) -> Iterator[tuple[str, Any]]:
    """A choice that brings inputs of its own."""
    keys = [option["key"] for option in options["options"]]
    chosen = values.take(keys[0] if keys else None)
    yield name, chosen
    for option in options["options"]:
        if option["key"] == chosen:
            yield from _read_inner(name, option["inputs"], node, values)


def _read_slot(name: str, options: Json, node: Json, values: _Values) -> Iterator[tuple[str, Any]]:
    """A socket that brings inputs when something is linked to it."""
    slot = _slot(name, node)
    if slot is not None and slot.get("link") is not None:
        yield from _read_inner(name, options["inputs"], node, values)


def _read_grown(name: str, options: Json, node: Json, values: _Values) -> Iterator[tuple[str, Any]]:
    """Inputs that the user made more of."""
    template = next((inner for _, inner in _specs(options["template"]["input"])), None)
    for grown in node.get("inputs") or []:
        if template is not None and grown["name"].startswith(f"{name}.") and "widget" in grown:
            yield from _read(grown["name"], template, node, values)


def _read_inner(name: str, inputs: Json, node: Json, values: _Values) -> Iterator[tuple[str, Any]]:
    for inner, spec in _specs(inputs):
        yield from _read(f"{name}.{inner}", spec, node, values)


_READERS = {
    "COMFY_DYNAMICCOMBO_V3": _read_choice,
    "COMFY_DYNAMICSLOT_V3": _read_slot,
    "COMFY_AUTOGROW_V3": _read_grown,
}


def _skip_beside(name: str, kind: Any, options: Json, values: _Values) -> None:
    """Pass over the values of what the editor shows beside a widget and does not send."""
    controlled = options.get("control_after_generate", kind == "INT" and name in ("seed", "noise_seed"))
    if controlled and values.skip_if(_CONTROL_VALUES) and _is_combo(kind):
        values.skip_if({""})  # the filter beside the control of a list
    if any(options.get(upload) for upload in _UPLOADS):
        values.skip_if({"image", "video"})


def _slot(name: str, node: Json) -> Json | None:
    """The socket of this name."""
    return next((slot for slot in node.get("inputs") or [] if slot["name"] == name), None)


def _is_combo(kind: Any) -> bool:
    return isinstance(kind, list) or kind == "COMBO"


def _is_widget(kind: Any, options: Json, slot: Json | None) -> bool:
    """Whether the editor shows a widget for the input (a link may still take its place)."""
    if options.get("forceInput"):
        return False
    if _is_combo(kind) or kind in _WIDGET_TYPES or options.get("widgetType") or options.get("socketless"):
        return True
    return slot is not None and "widget" in slot


def _default(kind: Any, options: Json) -> Any:
    if "default" in options:
        return options["default"]
    if _is_combo(kind):
        choices = kind if isinstance(kind, list) else options.get("options") or [None]
        return choices[0] if choices else None
    return {"INT": 0, "FLOAT": 0.0, "STRING": "", "BOOLEAN": False}.get(options.get("widgetType", kind))


def _boxed(value: Any) -> Any:
    """A list as a value, told from a link (a list, too) as the host expects it."""
    return {"__value__": value} if isinstance(value, list) else value
