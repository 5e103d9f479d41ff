"""Translations and help pages are whole: for every node of the running host, in English and Korean."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from editor import READY
from sampler_lab.labkit.help_tables import pages, with_table
from sampler_lab.labkit.locales import english

pytestmark = pytest.mark.host

ROOT = Path(__file__).resolve().parents[2]
HANGUL = re.compile("[\uac00-\ud7a3]")


def strings(language):
    return json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))


def keys(value, path=()):
    """Every path to a string."""
    if isinstance(value, str):
        return {path}
    return {found for key, item in value.items() for found in keys(item, (*path, key))}


@pytest.fixture
def nodes(object_info):
    return english(object_info)


def test_english_is_what_the_schemas_say(nodes):
    assert strings("en") == nodes, "write it again: python3 -m labkit.locales URL > locales/en/nodeDefs.json"


def test_every_input_and_output_has_a_tooltip(nodes):
    without = [
        (node_id, name)
        for node_id, node in nodes.items()
        for name, item in [*node["inputs"].items(), *node["outputs"].items()]
        if not item.get("tooltip")
    ]
    assert without == []


def test_korean_has_the_same_strings(nodes):
    assert keys(strings("ko")) == keys(nodes)


def test_korean_is_korean(nodes):
    korean = strings("ko")
    for node_id, node in korean.items():
        told = [node["display_name"], node["description"]]
        told += [item["tooltip"] for item in [*node["inputs"].values(), *node["outputs"].values()]]
        assert [text for text in told if not HANGUL.search(text)] == [], node_id


def test_every_node_has_its_help_pages(nodes):
    for node_id in nodes:
        for language in ("en", "ko"):
            page = ROOT / "web" / "docs" / node_id / f"{language}.md"
            assert page.read_text(encoding="utf-8").startswith("# "), page
        assert HANGUL.search(page.read_text(encoding="utf-8")), page


def test_help_pages_end_with_every_input_as_the_node_says_it(object_info):
    """Default, range and sentence are written once, in the node's options."""
    there = {(node_id, language) for node_id, language in pages(object_info)}
    stale = [
        (node_id, language)
        for node_id, language in sorted(there)
        if (ROOT / "web" / "docs" / node_id / f"{language}.md").read_text(encoding="utf-8")
        != with_table(node_id, language, object_info)
    ]
    assert stale == [], "write them again: python3 -m labkit.help_tables URL"


@pytest.mark.browser
def test_the_editor_speaks_korean(page):
    def speak(language):
        page.evaluate("language => window.app.extensionManager.setting.set('Comfy.Locale', language)", language)
        page.reload()
        page.wait_for_function(READY, timeout=120_000)

    speak("ko")
    try:
        page.wait_for_function(
            "title => window.LiteGraph.registered_node_types.SamplerLabLatentDAPS?.title === title",
            arg=strings("ko")["SamplerLabLatentDAPS"]["display_name"],
            timeout=120_000,
        )
    finally:
        speak("en")
