"""A part of a method: settings that fill one socket of the loop, and how it is called in the editor."""

from __future__ import annotations

from typing import ClassVar

from ..diffusion.options import Options

__all__ = ["Part"]


class Part(Options):
    """Base of estimates, data steps and moves; each is a frozen dataclass of options that can be called.

    name: in records, in presets and in the id of its node. title: of its node, for people.
    about: what it does, in one or two sentences. aliases: words by which the editor's search finds it.
    reference: where it comes from.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    about: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    reference: ClassVar[str] = ""
