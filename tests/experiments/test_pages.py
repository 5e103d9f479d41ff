"""The published pages: one setting has one figure, wherever it is shown."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def pages():
    return [(DOCS / name).read_text(encoding="utf-8") for name in ("experiments.md", "benchmarks/latent_daps.md")]


def cells(text, first):
    (row,) = re.findall(rf"^\| {first} \| (\d+ \|.*) \|$", text, re.MULTILINE)
    return [cell.strip() for cell in row.split("|")]


def test_exp0_and_hmc_are_one_setting_with_one_figure(pages):
    """Glyphs, raw oracle, aligned oracle, aligned blind; then every glyph."""
    experiments, benchmark = pages
    assert cells(experiments, "exp0")[:4] == cells(benchmark, "hmc")[:4]
    shown = {}
    tables = ((experiments, "| image | flat image (dB) |", "exp0"), (benchmark, "| glyph | flat |", "hmc"))
    for text, head, column in tables:
        lines = text[text.index(head) :].split("\n\n")[0].splitlines()
        place = [cell.strip() for cell in lines[0].split("|")].index(column)
        rows = [[cell.strip() for cell in line.split("|")] for line in lines[2:]]
        shown[column] = {row[1]: row[place] for row in rows}
    assert shown["exp0"] == shown["hmc"]
    assert len(shown["exp0"]) == 20
