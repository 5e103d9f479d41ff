"""Every shipped template, in the queue and in the editor: it is whole, it runs, and both see the same graph."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from editor import not_of_the_editor
from sampler_lab.labkit.workflow import to_api

FOLDER = Path(__file__).resolve().parents[2] / "example_workflows"
TEMPLATES = sorted(path.stem for path in FOLDER.glob("*.json"))
EVERY = pytest.mark.parametrize("name", TEMPLATES)

pytestmark = pytest.mark.host


def load(name):
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def resolved(prompt):
    """Class and inputs of every node: what decides what a graph computes (titles do not)."""
    return {key: (node["class_type"], node["inputs"]) for key, node in prompt.items()}


@EVERY
def test_it_has_a_thumbnail(name):
    assert (FOLDER / f"{name}.jpg").stat().st_size > 1000


def test_together_they_show_every_node_of_the_pack(object_info):
    used = {node["type"] for name in TEMPLATES for node in load(name)["nodes"]}
    ours = {name for name in object_info if name.startswith("SamplerLab")}
    assert ours
    assert ours - used == set()


@EVERY
def test_it_runs_in_the_queue(client, object_info, name):
    result = client.run(to_api(load(name), object_info), timeout=900)
    pictures = [client.view(file) for file in result.files("SaveImage")]
    assert pictures
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)


@pytest.mark.browser
@EVERY
def test_it_opens_in_the_editor_as_the_same_graph(page, object_info, name):
    workflow = load(name)
    page.console_errors.clear()
    page.evaluate("workflow => window.app.loadGraphData(workflow)", workflow)
    page.wait_for_function("count => window.app.graph.nodes.length === count", arg=len(workflow["nodes"]))
    unknown = page.evaluate(
        "() => window.app.graph.nodes.map(node => node.type).filter(type => !LiteGraph.registered_node_types[type])"
    )
    assert unknown == []
    from_editor = page.evaluate("async () => (await window.app.graphToPrompt()).output")
    assert resolved(from_editor) == resolved(to_api(workflow, object_info))
    assert not_of_the_editor(page.console_errors) == []


@pytest.mark.browser
def test_the_main_template_runs_in_the_editor(page, tmp_path):
    """As a newcomer would: open the template, press run, look."""
    workflow = load("phase_retrieval")
    small = {"SamplerLabAnnealingScheduler": 5}
    for node in workflow["nodes"]:
        if node["type"] in small:
            node["widgets_values"][0] = small[node["type"]]
    page.console_errors.clear()
    page.evaluate("workflow => window.app.loadGraphData(workflow)", workflow)
    page.wait_for_function("count => window.app.graph.nodes.length === count", arg=len(workflow["nodes"]))
    page.evaluate(
        """() => {
            window.samplerLabDone = null;
            window.app.api.addEventListener("execution_success", () => { window.samplerLabDone = "success"; });
            window.app.api.addEventListener("execution_error", event => { window.samplerLabDone = event.detail; });
            window.app.queuePrompt(0);
        }"""
    )
    page.wait_for_function("() => window.samplerLabDone !== null", timeout=300_000)
    assert page.evaluate("() => window.samplerLabDone") == "success"
    report = page.locator(".sampler-lab-report")
    report.locator("table").wait_for(state="attached", timeout=30_000)
    assert "Chosen blind" in report.text_content()
    assert not_of_the_editor(page.console_errors) == []
    page.screenshot(path=str(tmp_path / "phase_retrieval.png"))
