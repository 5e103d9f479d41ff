"""Errors with a sentence for the person at the terminal."""

from __future__ import annotations

__all__ = ["LabError"]


class LabError(Exception):
    """Something a person can act on: the message says what is wrong and what to do. Shown without a traceback."""
