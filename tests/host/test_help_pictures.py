"""The pictures of the help pages: there, small, and at the addresses that the editor makes of them."""

from __future__ import annotations

import re
import urllib.request

import pytest
from sampler_lab.labkit.places import PACK_NAME, ROOT

DOCS = ROOT / "web" / "docs"
LINK = re.compile(r"!\[([^\]]+)\]\(([^)]+)\)")
SHOWN = {path.relative_to(DOCS): LINK.findall(path.read_text(encoding="utf-8")) for path in sorted(DOCS.glob("*/*.md"))}


def test_the_pages_where_a_picture_helps_most_have_one_in_both_languages():
    with_pictures = {str(page) for page, links in SHOWN.items() if links}
    for node in ("LatentDAPS", "PhaseRetrieval", "CompareToReference", "PlotSigmas", "PlotGuidance", "PlotRuns"):
        assert {f"SamplerLab{node}/en.md", f"SamplerLab{node}/ko.md"} <= with_pictures
    for page, links in SHOWN.items():
        assert [target for _, target in links] == [target for _, target in SHOWN[page.parent / "en.md"]], page


def test_every_picture_is_there_is_small_and_is_shown():
    linked = {target for links in SHOWN.values() for _, target in links}
    assert linked == {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.png")}
    assert all((DOCS / target).stat().st_size < 150_000 for target in linked)


@pytest.mark.host
def test_the_editor_finds_them(server):
    """It takes addresses from the folder of all pages, not from the page's own."""
    for target in {target for links in SHOWN.values() for _, target in links}:
        with urllib.request.urlopen(f"{server.url}/extensions/{PACK_NAME}/docs/{target}") as answer:
            assert answer.headers["Content-Type"] == "image/png"
