"""Templates of every release so far: each still opens, every node and value is known, and the queue takes it."""

from __future__ import annotations

import json

import pytest
from sampler_lab.labkit.places import ROOT
from sampler_lab.labkit.workflow import to_api

RELEASES = ROOT / "tests" / "releases"
FILES = sorted(RELEASES.glob("*/*.json"))

pytestmark = pytest.mark.host


def test_there_are_releases():
    assert {file.parent.name for file in FILES} == {"0.1.0"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name} {file.stem}")
def test_the_queue_takes_a_template_of_an_older_release(client, object_info, file):
    workflow = json.loads(file.read_text(encoding="utf-8"))
    client.cancel(client.queue(to_api(workflow, object_info)))


@pytest.mark.browser
@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name} {file.stem}")
def test_the_editor_opens_a_template_of_an_older_release(page, file):
    """No node is missing, and each has the widgets' values that were saved."""
    workflow = json.loads(file.read_text(encoding="utf-8"))
    missing = page.evaluate(
        """async (workflow) => {
            await window.app.loadGraphData(workflow);
            return window.app.graph.nodes.filter((node) => node.has_errors).map((node) => node.type);
        }""",
        workflow,
    )
    assert missing == []
    assert page.evaluate("() => window.app.graph.nodes.length") == len(workflow["nodes"])
