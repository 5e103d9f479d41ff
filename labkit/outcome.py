"""How a graph in the prompt queue can end: with a result, refused, failed or cancelled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .errors import LabError

__all__ = [
    "Progress",
    "Prompt",
    "PromptRefused",
    "Result",
    "RunFailed",
    "RunInterrupted",
    "ServerGone",
    "refusal",
    "result_of",
]

#: Where in a prompt's extra data the pack notes what its nodes had to say (``host/notices.py``).
NOTICES = "sampler_lab_notices"

#: A graph as the queue takes it: node id to ``{"class_type": …, "inputs": {name: value or [node id, slot]}}``.
Prompt = dict[str, dict[str, Any]]


class ServerGone(LabError):
    """The server does not answer (any more)."""


class PromptRefused(LabError):
    """The host's validation refused the graph. ``node_errors`` is its answer, node id to what is wrong there."""

    def __init__(self, message: str, node_errors: dict[str, Any]) -> None:
        super().__init__(message)
        self.node_errors = node_errors


class RunFailed(LabError):
    """A node raised. ``details`` is the host's record: ``node_id``, ``exception_type``, ``traceback`` and more."""

    def __init__(self, message: str, details: dict[str, Any]) -> None:
        super().__init__(message)
        self.details = details


class RunInterrupted(LabError):
    """Somebody pressed cancel."""


@dataclass(frozen=True)
class Progress:
    """Where a run is: node ``node_id`` of type ``node_type`` has done ``value`` of ``maximum`` steps."""

    node_id: str
    node_type: str
    value: int = 0
    maximum: int = 0


@dataclass(frozen=True)
class Result:
    """What a finished run left in the history: ``outputs[node_id]`` is what the node showed (pictures, text, files).

    notices: what the pack's nodes had to say that is no error, each with ``text``, ``severity`` and ``node``.
    """

    prompt_id: str
    prompt: Prompt
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    notices: list[dict[str, Any]] = field(default_factory=list)

    def of(self, node_type: str) -> list[dict[str, Any]]:
        """The outputs of every node of that type, in the order of their ids."""
        ids = [key for key, node in self.prompt.items() if node["class_type"] == node_type and key in self.outputs]
        return [self.outputs[key] for key in sorted(ids, key=lambda key: (len(key), key))]

    def files(self, node_type: str | None = None) -> list[dict[str, str]]:
        """Every file any node (or those of one type) showed, as ``{"filename", "subfolder", "type"}`` for ``view``."""
        outputs = self.of(node_type) if node_type else list(self.outputs.values())
        return [file for output in outputs for file in _files_in(output)]


def _files_in(value: Any) -> Iterator[dict[str, str]]:
    if isinstance(value, dict):
        if isinstance(value.get("filename"), str):
            yield {key: str(value.get(key, "")) for key in ("filename", "subfolder", "type")}
        else:
            for item in value.values():
                yield from _files_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _files_in(item)


def refusal(reply: dict[str, Any], node_errors: dict[str, Any]) -> str:
    """The host's own sentences, one line per node input."""
    lines = [
        f"node {node_id} ({error.get('class_type')}): {item.get('message')}"
        + (f" ({item['details']})" if item.get("details") else "")
        for node_id, error in node_errors.items()
        for item in error.get("errors", [])
    ]
    if not lines:
        error = reply.get("error")
        text = error.get("message", "") + (f" ({error['details']})" if error.get("details") else "") if error else ""
        lines = [text or "it gave no reason"]
    return "The host refused the graph: " + "; ".join(lines)


def result_of(prompt_id: str, entry: dict[str, Any]) -> Result:
    """The result in a history entry; raises what the run raised."""
    status = entry["status"]
    messages = dict(message for message in status.get("messages", []) if len(message) == 2)
    if "execution_interrupted" in messages:
        raise RunInterrupted("The run was cancelled.")
    if status["status_str"] != "success":
        details = messages.get("execution_error", {})
        raise RunFailed(
            f"Node {details.get('node_id')} ({details.get('node_type')}) failed: "
            f"{str(details.get('exception_message', 'no message')).strip()}",
            details,
        )
    queued = entry.get("prompt", [])
    prompt = queued[2] if len(queued) > 2 else {}
    extra = queued[3] if len(queued) > 3 else {}
    return Result(prompt_id, prompt, entry.get("outputs", {}), extra.get(NOTICES, []))
