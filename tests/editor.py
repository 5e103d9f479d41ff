"""What browser tests know about the editor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sampler_lab.labkit.editor import READY

__all__ = ["READY", "not_of_the_editor", "renderer"]


def not_of_the_editor(errors: list[str]) -> list[str]:
    """Console errors without those that the editor makes on its own.

    It looks for a user's files, and it asks a model hub about the models of its default workflow, which its own
    content policy forbids.
    """
    own = ("Failed to load resource", "Content Security Policy")
    return [error for error in errors if not any(part in error for part in own)]


@contextmanager
def renderer(page: Any, vue: bool) -> Iterator[None]:
    """The editor draws its nodes on the canvas or, ``vue``, as elements of the page; afterwards on the canvas again."""
    switch = "on => window.app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)"
    page.evaluate(switch, vue)
    page.wait_for_function("on => Boolean(window.LiteGraph.vueNodesMode) === on", arg=vue)
    try:
        yield
    finally:
        page.evaluate(switch, False)
