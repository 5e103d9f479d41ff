"""Notices: what a node has to say that is not an error, said where its user looks.

A run that goes on although something is wrong with it (a chain that diverges, a file that is missing, a setting that
does nothing) used to say so in the server's log, which few read. :func:`notify` says it in three places:

* in the editor, on the node and as a toast (``web/notices.js``), by one message to the client that queued the prompt;
* in the prompt's history, for programs: under ``sampler_lab_notices`` in the prompt's extra data (the fourth part of
  its ``prompt``), and in the ``outputs`` of the node when it is one of ours (``nodes/checked.py``);
* in the log, once a prompt.

The history and the log keep the English sentence. The editor says it in its own language (``sentence.py``).

A notice belongs to the *run* of a node, the ``source``: it is taken down when that node runs again. It is shown on
``node``, which may be another one: what the LatentDAPS node has to say happens while SamplerCustomAdvanced runs.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Any

from ..diffusion.sentence import Sentence
from .prompts import running_item, server, workflow_of

__all__ = ["EVENT", "KEY", "SEVERITIES", "Notice", "collected", "notify", "notify_once"]

EVENT = "sampler_lab.notice"
KEY = "sampler_lab_notices"
#: "warn": the result is probably not what was wanted. "info": it is, but something could not be done.
SEVERITIES = ("info", "warn")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Notice:
    """One sentence.

    text: what is the matter, and what to do, in English.
    pattern, values: what it was made of (``sentence.py``), for who translates it.
    severity: one of SEVERITIES.
    node: id of the node that shows it; None outside a running prompt.
    source: id of the node that was running.
    """

    text: str
    pattern: str
    values: dict[str, str]
    severity: str = "warn"
    node: str | None = None
    source: str | None = None


_collecting: ContextVar[list[Notice] | None] = ContextVar("sampler_lab_notices", default=None)


def notify(said: Sentence, severity: str = "warn", node_id: str | None = None) -> None:
    """Say it on the node ``node_id``, or on the node that runs; a second time in one prompt it is not said.

    Raises:
        ValueError: an unknown severity.
    """
    if severity not in SEVERITIES:
        raise ValueError(f"severity is {severity!r}; choose one of {', '.join(SEVERITIES)}.")
    prompt_id, source = _running_node()
    notice = Notice(str(said), said.pattern, said.values, severity, node_id or source, source)
    item = running_item(prompt_id) if prompt_id else None
    if not _remember(item, notice):
        return
    log.log(logging.WARNING if severity == "warn" else logging.INFO, "[Sampler Lab] %s", said)
    collecting = _collecting.get()
    if collecting is not None:
        collecting.append(notice)
    host = server()
    if host is not None and host.client_id is not None and notice.node is not None:
        message = {"prompt_id": prompt_id, "workflow_id": workflow_of(item), **asdict(notice)}
        host.send_sync(EVENT, message, host.client_id)


@functools.cache
def notify_once(said: Sentence) -> None:
    """Something that is left out by default and missed by few: an "info", said once as long as the server runs."""
    notify(said, "info")


@contextmanager
def collected() -> Iterator[list[Notice]]:
    """The notices that are raised inside this context."""
    notices: list[Notice] = []
    token = _collecting.set(notices)
    try:
        yield notices
    finally:
        _collecting.reset(token)


def _remember(item: tuple[Any, ...] | None, notice: Notice) -> bool:
    """Note it in the queue's own copy of the prompt, which becomes its history; False when it is there already."""
    if item is None:
        return True
    with server().prompt_queue.mutex:
        said = item[3].setdefault(KEY, [])
        if asdict(notice) in said:
            return False
        said.append(asdict(notice))
    return True


def _running_node() -> tuple[str | None, str | None]:
    """Ids of the prompt and of the node that the executor runs now; None for both in a script."""
    try:
        from comfy_execution.utils import get_executing_context
    except ImportError:
        return None, None
    context = get_executing_context()
    return (None, None) if context is None else (context.prompt_id, context.node_id)
