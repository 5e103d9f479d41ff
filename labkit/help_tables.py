"""The table of every input on the nodes' help pages, made from what the nodes themselves say.

A node's schema has each input's default, range and sentence once; ``locales/`` has the sentence in other languages. The
end of each page in ``web/docs/`` is written from them, with a host running (``python3 lab.py serve``):

    python3 -m labkit.help_tables http://127.0.0.1:8188

A test compares. What else is to be known about an input stands above, written by hand.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .locales import PREFIX
from .places import ROOT

__all__ = ["BEGIN", "LANGUAGES", "page", "pages", "table", "with_table", "words_of"]

BEGIN = "<!-- every input: made by python3 -m labkit.help_tables -->"
DOCS = ROOT / "web" / "docs"
MOST_CHOICES = 10
#: Beyond this a range is as good as none.
HUGE = 1e9


#: What the table says in English; ``locales/<language>/main.json`` has it under ``samplerLab.helpTable``.
ENGLISH = MappingProxyType(
    {
        "title": "Every input",
        "input": "input",
        "default": "default",
        "range": "what it can be",
        "meaning": "what it does",
        "switch": "on or off",
        "text": "text",
        "from": "from {} on",
    }
)
LANGUAGES = ("en", "ko")
Words = Mapping[str, str]


def words_of(language: str) -> Words:
    """What the table says in a language."""
    if language == "en":
        return ENGLISH
    said = json.loads((ROOT / "locales" / language / "main.json").read_text(encoding="utf-8"))
    return {**ENGLISH, **said["samplerLab"]["helpTable"]}


def table(node: Mapping[str, Any], strings: Mapping[str, Any], words: Words) -> str:
    """The table of a node, from its entry in ``/object_info`` and its strings in a language; empty for no input."""
    rows = []
    for group in ("required", "optional"):
        for name, spec in node["input"].get(group, {}).items():
            options = spec[1] if len(spec) > 1 else {}
            if not options.get("hidden"):
                said = strings["inputs"].get(name, {}).get("tooltip", "")
                rows.append((name, _default(options), _range(spec[0], options, words), said))
    if not rows:
        return ""
    heads = tuple(words[column] for column in ("input", "default", "range", "meaning"))
    lines = [heads, ("---",) * 4, *(tuple(_cell(each) for each in row) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def page(text: str, made: str, words: Words) -> str:
    """A help page whose end is the table ``made``, whatever it was before."""
    body = text.partition(BEGIN)[0].rstrip()
    return f"{body}\n\n{BEGIN}\n\n## {words['title']}\n\n{made}" if made else f"{body}\n"


def with_table(node_id: str, language: str, object_info: Mapping[str, Any]) -> str:
    """The help page of a node, as it should be."""
    strings = json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))[node_id]
    words = words_of(language)
    return page(
        _path(node_id, language).read_text(encoding="utf-8"), table(object_info[node_id], strings, words), words
    )


def pages(object_info: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(node id, language) of every help page."""
    return [
        (node_id, language)
        for node_id in sorted(object_info)
        for language in LANGUAGES
        if node_id.startswith(PREFIX) and _path(node_id, language).is_file()
    ]


def _path(node_id: str, language: str) -> Path:
    return DOCS / node_id / f"{language}.md"


def _default(options: Mapping[str, Any]) -> str:
    default = options.get("default")
    if default is None or default == "":
        return "–"
    return {True: "on", False: "off"}[default] if isinstance(default, bool) else _number(default)


def _range(kind: Any, options: Mapping[str, Any], words: Words) -> str:
    choices = kind if isinstance(kind, list) else options.get("options") if kind == "COMBO" else None
    if choices is not None:
        shown = [f"`{choice}`" for choice in choices[:MOST_CHOICES]]
        return ", ".join([*shown, "…"] if len(choices) > MOST_CHOICES else shown) or "–"
    if kind in ("INT", "FLOAT"):
        low, high = options.get("min"), options.get("max")
        if low is None:
            return "–"
        return (
            words["from"].format(_number(low)) if high is None or high > HUGE else f"{_number(low)} … {_number(high)}"
        )
    return {"BOOLEAN": words["switch"], "STRING": words["text"]}.get(kind, str(kind).removeprefix("SAMPLERLAB_"))


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def main(url: str) -> None:
    """Write the table on every page."""
    with urllib.request.urlopen(f"{url.rstrip('/')}/object_info") as answer:
        object_info = json.load(answer)
    for node_id, language in pages(object_info):
        _path(node_id, language).write_text(with_table(node_id, language, object_info), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
