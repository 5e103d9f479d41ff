"""A preset shows its numbers in the editor, and a number changed by hand makes it "custom": in both renderers."""

from __future__ import annotations

import json
import re
from io import BytesIO
from pathlib import Path

import pytest
from editor import not_of_the_editor, renderer
from PIL import Image
from sampler_lab.labkit.outcome import RunFailed
from sampler_lab.labkit.workflow import to_api
from sampler_lab.operators import PRESETS

pytestmark = pytest.mark.host

RELEASE = Path(__file__).resolve().parents[1] / "releases" / "0.1.0"
TEMPLATE = Path(__file__).resolve().parents[2] / "example_workflows" / "01 Phase retrieval (start here).json"
NODE = "SamplerLabPhaseRetrieval"
KEY = "sampler_lab_presets"
DAPS = {
    "preset": "daps",
    "oversample": 2.0,
    "noise_sigma": 0.05,
    "signal_range": "0..1",
    "clip_negative": False,
    "kind": "amplitude",
    "noise": "gaussian",
    "channels": "separate",
}
BEFORE = ["daps", 4.0, 50.0, "-1..1", True, "intensity", "poisson", "mean"]


def test_the_schema_says_what_each_preset_sets(object_info):
    declared = object_info[NODE]["input"]["required"]["preset"][1][KEY]
    assert declared["custom"] == "custom"
    assert declared["values"]["daps"] == {name: value for name, value in DAPS.items() if name != "preset"}
    assert set(declared["values"]) == set(PRESETS)


def with_numbers(values):
    workflow = json.loads(TEMPLATE.read_text(encoding="utf-8"))
    for node in workflow["nodes"]:
        if node["type"] == NODE:
            node["widgets_values"] = list(values)
    return workflow


def test_a_prompt_from_elsewhere_means_the_presets_numbers(client, object_info):
    """As in the last release: the name counts, whatever stands beside it. What is computed is compared, not said."""

    def measured(**inputs):
        prompt = {
            "1": {"class_type": NODE, "inputs": {**DAPS, **inputs}},
            "2": {"class_type": "SamplerLabEmojiPicture", "inputs": {"name": "donkey"}},
            "3": {"class_type": "SamplerLabMeasure", "inputs": {"operator": ["1", 0], "image": ["2", 0], "seed": 3}},
            "4": {"class_type": "SamplerLabPreviewMeasurement", "inputs": {"measurement": ["3", 0], "decades": 3.0}},
        }
        result = client.run(prompt, timeout=120)
        return Image.open(BytesIO(client.view(result.files("SamplerLabPreviewMeasurement")[0]))).tobytes()

    of_old = dict(zip(DAPS, BEFORE, strict=True))
    assert measured(**of_old) == measured() == measured(preset="custom")
    assert measured(preset="dps") != measured()


def test_noise_that_leaves_nothing_to_see_is_one_sentence(client):
    prompt = {
        "1": {"class_type": NODE, "inputs": {**DAPS, "preset": "custom", "noise_sigma": 50.0}},
        "2": {"class_type": "SamplerLabEmojiPicture", "inputs": {"name": "donkey"}},
        "3": {"class_type": "SamplerLabMeasure", "inputs": {"operator": ["1", 0], "image": ["2", 0], "seed": 3}},
        "4": {"class_type": "SamplerLabPreviewMeasurement", "inputs": {"measurement": ["3", 0], "decades": 3.0}},
    }
    with pytest.raises(RunFailed, match=r"noise_sigma is 50, .* give 1 or less"):
        client.run(prompt, timeout=120)


# The editor -----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[False, True], ids=["canvas", "vue"])
def editor(page, request):
    """The editor's page, with nodes drawn in one way or the other."""
    with renderer(page, vue=request.param):
        yield page


VALUES = """type => Object.fromEntries(window.app.graph.nodes.find(node => node.type === type).widgets
    .map(widget => [widget.name, widget.value]))"""
ALONE = """type => {
    window.app.graph.clear();
    const node = LiteGraph.createNode(type);
    node.pos = [300, 200];
    window.app.graph.add(node);
    const { ds } = window.app.canvas;
    [ds.scale, ds.offset[0], ds.offset[1]] = [1, 0, 0];
    window.app.canvas.setDirty(true, true);
    node.select?.();
}"""


def shown(page, node=NODE):
    return page.evaluate(VALUES, node)


def alone(page, node=NODE):
    page.keyboard.press("Escape")  # the list of templates, which greets a newcomer
    page.locator("[role=dialog]").first.wait_for(state="hidden")
    page.evaluate(ALONE, node)
    page.wait_for_function(
        "type => window.app.graph.nodes.find(node => node.type === type).widgets.at(-1).last_y > 0"
        " || window.LiteGraph.vueNodesMode",
        arg=node,
    )


def is_vue(page):
    return page.evaluate("() => Boolean(window.LiteGraph.vueNodesMode)")


def choose(page, preset, kind=NODE):
    """The user opens the list and takes ``preset``."""
    if is_vue(page):
        node = page.locator("[data-node-id]").first
        node.get_by_role("combobox").first.click()
        page.get_by_role("option", name=preset, exact=True).click()
    else:
        press_widget(page, "preset", kind=kind)
        page.locator(".litecontextmenu .litemenu-entry").filter(has_text=re.compile(f"^{preset}$")).click()
    page.wait_for_function(
        "([type, preset]) => window.app.graph.nodes.find(n => n.type === type).widgets[0].value === preset",
        arg=[kind, preset],
    )


def press_widget(page, name, share=0.5, kind=NODE):
    """A click on the widget on the canvas; ``share`` of its width from the left."""
    x, y = page.evaluate(
        """([type, name, share]) => {
            const node = window.app.graph.nodes.find(node => node.type === type);
            const widget = node.widgets.find(widget => widget.name === name);
            const [x, y] = window.app.canvas.ds.convertOffsetToCanvas(
                [node.pos[0] + node.size[0] * share, node.pos[1] + widget.last_y + 10]);
            const box = window.app.canvas.canvas.getBoundingClientRect();
            return [box.left + x, box.top + y];
        }""",
        [kind, name, share],
    )
    page.mouse.click(x, y)


def raise_oversample(page):
    """The user clicks the arrow that makes oversample larger."""
    before = shown(page)["oversample"]
    if is_vue(page):
        page.locator("[data-node-id]").first.locator("[data-testid=increment]").first.click()
    else:
        press_widget(page, "oversample", 0.95)
    page.wait_for_function(
        "([type, before]) => window.app.graph.nodes.find(n => n.type === type).widgets[1].value > before",
        arg=[NODE, before],
    )


@pytest.mark.browser
def test_choosing_a_preset_shows_its_numbers_and_a_change_by_hand_makes_it_custom(editor):
    alone(editor)
    assert shown(editor)["preset"] == "custom"
    assert shown(editor)["clip_negative"] is True
    choose(editor, "dps")
    assert shown(editor) == {**DAPS, "preset": "dps", "signal_range": "-1..1"}
    choose(editor, "daps")
    assert shown(editor) == DAPS
    raise_oversample(editor)
    after = shown(editor)
    assert after["preset"] == "custom"
    assert after == {**DAPS, "preset": "custom", "oversample": after["oversample"]}
    raise_oversample(editor)
    assert shown(editor)["preset"] == "custom"
    choose(editor, "daps")
    assert shown(editor) == DAPS


PRECISION = """([type, name]) => window.app.graph.nodes.find(node => node.type === type).widgets
    .find(widget => widget.name === name).options.precision"""
HMC = {
    "emoji_hmc": {"steps": 10, "step_size": "0.000100", "step_size_end": "0.100", "tau": "0.01980", "momentum": "0.70"},
    "daps_official": {"steps": 65, "step_size": "0.000021", "step_size_end": "0.120", "tau": "0.00707"},
}


def write_tau(page, kind, text=None):
    """The user clicks into tau, types ``text`` over what stands there, if any, and leaves."""
    if is_vue(page):
        box = page.locator("[data-node-id] input").nth(3).bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    else:
        press_widget(page, "tau", kind=kind)
        page.locator(".graphdialog input").wait_for()
    if text is not None:
        page.keyboard.press("Control+a")
        page.keyboard.type(text)
    page.keyboard.press("Tab" if is_vue(page) else "Enter")
    page.wait_for_timeout(300)


@pytest.mark.browser
def test_the_numbers_of_a_data_step_are_shown_in_full_and_only_a_change_counts(editor):
    kind = "SamplerLabHmcDataStep"
    alone(editor, kind)
    for preset in ("daps_official", "emoji_hmc"):
        choose(editor, preset, kind)
        exact = shown(editor, kind)
        if is_vue(editor):
            said = editor.locator("[data-node-id] input").evaluate_all("inputs => inputs.map(input => input.value)")
            assert [HMC[preset][name] for name in ("step_size", "step_size_end", "tau")] == said[1:4]
        for name, written in HMC[preset].items():
            digits = len(str(written).partition(".")[2])
            assert f"{exact[name]:.{digits}f}" == str(written)
            assert editor.evaluate(PRECISION, [kind, name]) == digits
    write_tau(editor, kind)
    assert shown(editor, kind) == exact, "who only looks changes nothing"
    write_tau(editor, kind, "0.0512")
    assert shown(editor, kind) == {**exact, "preset": "custom", "tau": 0.0512}
    choose(editor, "emoji_hmc", kind)
    assert shown(editor, kind) == exact


@pytest.mark.browser
def test_numbers_that_did_not_count_in_an_old_graph_are_shown_as_the_presets(editor, object_info):
    old = with_numbers(BEFORE)
    editor.console_errors.clear()
    editor.evaluate("workflow => window.app.loadGraphData(workflow)", old)
    editor.wait_for_function("count => window.app.graph.nodes.length === count", arg=len(old["nodes"]))
    assert shown(editor) == DAPS
    prompt = editor.evaluate("async () => (await window.app.graphToPrompt()).output")
    (sent,) = [node["inputs"] for node in prompt.values() if node["class_type"] == NODE]
    assert sent == DAPS
    editor.evaluate("prompt => window.app.loadApiJson(prompt, 'from a program')", to_api(old, object_info))
    editor.wait_for_function("type => window.app.graph.nodes.some(node => node.type === type)", arg=NODE)
    assert shown(editor) == DAPS
    custom = with_numbers(["custom", *BEFORE[1:]])
    editor.evaluate("workflow => window.app.loadGraphData(workflow)", custom)
    editor.wait_for_function("count => window.app.graph.nodes.length === count", arg=len(custom["nodes"]))
    assert list(shown(editor).values()) == ["custom", *BEFORE[1:]]
    assert not_of_the_editor(editor.console_errors) == []


@pytest.mark.browser
def test_a_number_that_a_script_sets_counts_as_well(editor):
    """As a subgraph's own widget sets it: no callback is told, but the number is shown."""
    alone(editor)
    choose(editor, "daps")
    sent = editor.evaluate(
        """async type => {
            const node = window.app.graph.nodes.find(node => node.type === type);
            const prompt = async () => Object.values((await window.app.graphToPrompt()).output)[0].inputs;
            const before = await prompt();
            node.widgets.find(widget => widget.name === "noise_sigma").value = 0.2;
            return [before, await prompt()];
        }""",
        NODE,
    )
    assert sent == [DAPS, {**DAPS, "preset": "custom", "noise_sigma": 0.2}]


@pytest.mark.browser
def test_a_linked_number_makes_it_custom(editor):
    alone(editor)
    choose(editor, "daps")
    linked = editor.evaluate(
        """type => {
            const node = window.app.graph.nodes.find(node => node.type === type);
            const source = LiteGraph.createNode("PrimitiveFloat");
            if (!source) return false;
            window.app.graph.add(source);
            source.connect(0, node, node.inputs.findIndex(slot => slot.name === "noise_sigma"));
            return true;
        }""",
        NODE,
    )
    assert linked
    assert shown(editor)["preset"] == "custom"
    editor.evaluate(
        """type => {
            const preset = window.app.graph.nodes.find(node => node.type === type).widgets[0];
            preset.value = "dps";
            preset.callback("dps");
        }""",
        NODE,
    )
    assert shown(editor)["preset"] == "custom"


def test_a_graph_of_the_last_release_still_means_the_same(object_info):
    old = json.loads((RELEASE / "phase_retrieval.json").read_text(encoding="utf-8"))

    def operator(workflow):
        (inputs,) = [n["inputs"] for n in to_api(workflow, object_info).values() if n["class_type"] == NODE]
        return PRESETS[inputs["preset"]]

    now = json.loads(TEMPLATE.read_text(encoding="utf-8"))
    assert operator(old) == operator(now)
