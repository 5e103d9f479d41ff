"""What browser tests know about the editor."""

from __future__ import annotations

from sampler_lab.labkit.editor import READY

__all__ = ["READY", "not_of_the_editor"]


def not_of_the_editor(errors: list[str]) -> list[str]:
    """Console errors without those that the editor makes on its own.

    It looks for a user's files, and it asks a model hub about the models of its default workflow, which its own
    content policy forbids.
    """
    own = ("Failed to load resource", "Content Security Policy")
    return [error for error in errors if not any(part in error for part in own)]
