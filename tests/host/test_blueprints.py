"""The subgraph blueprints: the host offers them, the editor lists them, and each runs as one node."""

from __future__ import annotations

import json
import urllib.request

import pytest
from sampler_lab.labkit import editor
from sampler_lab.labkit.places import ROOT

pytestmark = [pytest.mark.host, pytest.mark.browser]

NAMES = sorted(path.stem for path in (ROOT / "subgraphs").glob("*.json"))

#: What goes into each input of a blueprint: node type, its widgets, and the output that is connected.
PRIOR = {"model": ("SamplerLabLoadEmojiPrior", {}, 0), "vae": ("SamplerLabLoadEmojiPrior", {}, 1)}
PROMPT = ("SamplerLabEmojiPrompt", {"class_name": "face"}, 0)
SOURCES = {
    "Phase retrieval": {**PRIOR, "conditioning": PROMPT, "measurement": ("SamplerLabLoadMeasurement", {}, 0)},
    "Diverse batch": {**PRIOR, "positive": PROMPT, "negative": PROMPT, "latent_image": ("VAEEncode", {}, 0)},
}

#: The editor's list of blueprints: the node library and the search box show it.
LISTED = """() => {
    const { $pinia } = document.querySelector("#vue-app").__vue_app__.config.globalProperties;
    return Object.values($pinia._s.get("subgraph")).filter(Array.isArray).flat().map(each => each?.display_name);
}"""

BUILD = """async ([name, sources]) => {
    const { graph, canvas, api } = window.app;
    graph.clear();
    const all = await (await api.fetchApi("/global_subgraphs")).json();
    const id = Object.keys(all).find(key => all[key].name === name && all[key].info.node_pack.includes("sampler_lab"));
    const { data } = await (await api.fetchApi(`/global_subgraphs/${id}`)).json();
    const { nodes, definitions } = JSON.parse(data);
    // What the editor does when a blueprint is dropped onto the canvas.
    const added = canvas._deserializeItems({ nodes, subgraphs: definitions.subgraphs }, { position: [800, 100] });
    const blueprint = added.nodes.values().next().value;
    const made = {};
    const make = (type, widgets = {}) => {
        if (made[type]) return made[type];
        const node = LiteGraph.createNode(type);
        graph.add(node);
        for (const [key, value] of Object.entries(widgets))
            node.widgets.find(widget => widget.name === key).value = value;
        return (made[type] = node);
    };
    const into = (from, slot, to, input) =>
        from.connect(slot, to, to.inputs.findIndex(each => each.name === input));
    for (const [input, [type, widgets, slot]] of Object.entries(sources))
        into(make(type, widgets), slot, blueprint, input);
    if (made.VAEEncode) {
        into(make("EmptyImage", { width: 64, height: 64, batch_size: 2 }), 0, made.VAEEncode, "pixels");
        into(made.SamplerLabLoadEmojiPrior, 1, made.VAEEncode, "vae");
    }
    into(blueprint, 0, make("SaveImage", { filename_prefix: "sampler_lab/blueprint" }), "images");
    for (const [key, value] of Object.entries({ steps: 2, particles: 2 })) {
        const widget = blueprint.widgets.find(each => each.name === key);
        if (widget) widget.value = value;
    }
    return { widgets: blueprint.widgets.map(widget => widget.name), isSubgraph: blueprint.isSubgraphNode() };
}"""


def test_the_host_offers_them(server):
    with urllib.request.urlopen(f"{server.url}/global_subgraphs") as answer:
        found = json.load(answer)
    ours = {entry["name"] for entry in found.values() if "sampler_lab" in entry["info"]["node_pack"]}
    assert ours == set(NAMES) == set(SOURCES)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_one_node_that_runs(page, name):
    editor.calm(page)
    page.wait_for_function(f"name => ({LISTED})().includes(name)", arg=name)
    made = page.evaluate(BUILD, [name, SOURCES[name]])
    assert made["isSubgraph"]
    assert {"steps", "noise_seed"} <= set(made["widgets"])
    editor.run_workflow(page, timeout=600)
    prompt = page.evaluate("async () => (await window.app.graphToPrompt()).output")
    steps = [node["inputs"]["steps"] for node in prompt.values() if "steps" in node["inputs"]]
    assert steps == [2], "the widget of the blueprint reaches the node inside"
    shown = page.evaluate("() => Object.values(window.app.nodeOutputs).flatMap(output => output.images ?? [])")
    assert len(shown) >= 2


@pytest.mark.parametrize("name", NAMES)
def test_its_nodes_name_their_packs(name, object_info):
    blueprint = json.loads((ROOT / "subgraphs" / f"{name}.json").read_text(encoding="utf-8"))
    (subgraph,) = blueprint["definitions"]["subgraphs"]
    for node in subgraph["nodes"]:
        assert node["type"] in object_info
        ours = node["type"].startswith("SamplerLab")
        assert node["properties"]["cnr_id"] == ("sampler-lab" if ours else "comfy-core")
