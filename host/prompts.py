"""The prompt that the host is running: who asked for it, and what it is told of the run that it started.

A sampler is an object that outlives its node: the host caches the LatentDAPS node and samples again with another seed,
so what the node itself reports would be an old run. The run therefore signs the prompt: ``_meta`` of its node, which
holds what does not count (the node's title), is given the record's name. The host writes that graph into every picture
that it saves from then on, and into the prompt's history. It is this prompt's own: nothing else of the host changes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .folders import output_name

__all__ = ["META", "announce", "pictures_of", "running_item", "running_prompt", "server", "workflow_of"]

#: The key in ``_meta`` of the node: the record's path within the output folder.
META = "sampler_lab_run"
SECONDS_BETWEEN = 0.2

Graph = Mapping[str, Mapping[str, Any]]


def server() -> Any:
    """The running host's server, or None (a script that imports the pack has none)."""
    try:
        from server import PromptServer
    except ImportError:
        return None
    return getattr(PromptServer, "instance", None)


def running_item(prompt_id: str | None = None) -> tuple[Any, ...] | None:
    """The queue's own copy of what it runs (number, id, graph, further data ...); None when it runs no such prompt.

    prompt_id: which prompt; the one that the host began last if None.
    """
    host = server()
    if host is None:
        return None
    wanted = prompt_id or getattr(host, "last_prompt_id", None)
    with host.prompt_queue.mutex:
        return next((item for item in host.prompt_queue.currently_running.values() if item[1] == wanted), None)


def workflow_of(item: tuple[Any, ...] | None) -> str | None:
    """Id of the workflow that a prompt was made from, if it says: node ids are only unique within one."""
    return ((item[3].get("extra_pnginfo") or {}).get("workflow") or {}).get("id") if item else None


def running_prompt() -> dict[str, Any]:
    """Which prompt runs, and of which workflow. Empty when none runs."""
    item = running_item()
    return {} if item is None else {"prompt_id": item[1], "workflow_id": workflow_of(item)}


def announce(node_id: str | None, record: Any) -> None:
    """The run of the node ``node_id`` begins: its record knows the prompt, and the prompt its record.

    When the prompt is over, the record is also given the names of the pictures that were saved of the run.
    """
    item = running_item()
    if node_id is None or item is None or record.path is None:
        return
    record.note(prompt={"id": item[1], "node": node_id, "workflow": workflow_of(item)})
    for graph in (item[2], _executing_graph()):
        if node_id in graph:
            graph[node_id].setdefault("_meta", {})[META] = output_name(record.path)

    def name_pictures(outputs: Mapping[str, Any]) -> None:
        if record.path.exists():  # else it was moved away meanwhile, and is not to appear again
            record.note(pictures=list(pictures_of(item[2], node_id, outputs)))

    _when_over(item[1], name_pictures)


def _executing_graph() -> dict[str, Any]:
    """The graph that the host's nodes see, and write into pictures."""
    from comfy_execution.progress import get_progress_state

    return get_progress_state().dynprompt.get_original_prompt()


def pictures_of(graph: Graph, node_id: str, outputs: Mapping[str, Any]) -> Iterator[str]:
    """Names, within the output folder, of the saved pictures among ``outputs`` that ``node_id`` leads to."""
    reached = {node_id}
    while True:
        more = {key for key, node in graph.items() if key not in reached and _sources(node) & reached}
        if not more:
            break
        reached |= more
    for key in sorted(reached & set(outputs)):
        for file in outputs[key].get("images") or []:
            if isinstance(file, dict) and file.get("type") == "output":
                yield f"{file.get('subfolder', '')}/{file['filename']}".lstrip("/")


def _sources(node: Mapping[str, Any]) -> set[str]:
    return {str(value[0]) for value in node["inputs"].values() if isinstance(value, list) and len(value) == 2}


def _when_over(prompt_id: str, tell: Callable[[Mapping[str, Any]], None]) -> None:
    """Call ``tell`` with the prompt's outputs when it has ended; in a thread, for the host has no such event."""
    queue = server().prompt_queue

    def wait() -> None:
        while any(item[1] == prompt_id for item in queue.get_current_queue_volatile()[0]):
            time.sleep(SECONDS_BETWEEN)
        entry = queue.get_history(prompt_id).get(prompt_id)
        if entry is not None:
            tell(entry["outputs"])

    threading.Thread(target=wait, name=f"sampler-lab {prompt_id}", daemon=True).start()
