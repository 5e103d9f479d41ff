"""LatentDAPS Sampler in both renderers: a fresh node shows what it needs, an old graph also what counts in it."""

from __future__ import annotations

import copy
import itertools
import json

import pytest
from editor import not_of_the_editor, renderer
from sampler_lab.labkit.places import ROOT
from sampler_lab.labkit.workflow import to_api

pytestmark = [pytest.mark.host, pytest.mark.browser]

NODE = "SamplerLabLatentDAPS"
RELEASE = ROOT / "tests" / "releases" / "0.1.0"
SOCKETS = ["measurement", "vae", "repulsion", "data_step", "estimate", "moves"]
SHOWN = ["preset", "measurement_weight"]
ADVANCED = ["micro_batch", "precision", "metrics_prefix"]
FORMER_SOCKETS = ["pruning", "hard_consistency"]


@pytest.fixture(params=[False, True], ids=["canvas", "vue"])
def editor(page, request):
    """The editor's page, with nodes drawn in one way or the other."""
    page.keyboard.press("Escape")  # the list of templates, which greets a newcomer
    page.locator("[role=dialog]").first.wait_for(state="hidden")
    with renderer(page, vue=request.param):
        page.vue = request.param
        page.console_errors.clear()
        yield page
    assert not_of_the_editor(page.console_errors) == []


#: Of every LatentDAPS Sampler, those in subgraphs too: sockets (and what each is connected to), widgets that are drawn.
STATE = """type => {
    const { graph, rootGraph } = window.app;
    const graphs = [rootGraph ?? graph, ...(rootGraph ?? graph).subgraphs.values()];
    return graphs.flatMap(graph => graph.nodes.filter(node => node.type === type).map(node => ({
        id: node.id,
        sockets: node.inputs.filter(slot => !slot.widget).map(slot => slot.name),
        linked: Object.fromEntries(node.inputs.filter(slot => slot.link != null).map(slot => {
            const link = graph.getLink(slot.link);
            const source = graph.getNodeById(link.origin_id)?.type ?? "input";
            return [slot.name, [source, node.inputs[link.target_slot].name]];
        })),
        widgets: node.widgets.filter(widget => !widget.hidden).map(widget => widget.name),
        advanced: node.widgets.filter(widget => !widget.hidden && widget.options.advanced).map(widget => widget.name),
        height: node.size[1],
        least: node.computeSize()[1],
    })));
}"""


def state(page):
    return page.evaluate(STATE, NODE)


def assert_drawn(page, node_id, names, others):
    """What the node says on the page; on the canvas what a person can click."""
    if page.vue:
        box = page.locator(f'[data-node-id="{node_id}"]')
        for name in names:
            box.get_by_text(name, exact=True).first.wait_for()
        said = box.inner_text().split("\n")
        assert [name for name in others if name in said] == []
        return
    drawn = page.evaluate(
        """id => {
            const node = window.app.graph.getNodeById(id);
            window.app.canvas.draw(true, true);
            return node.widgets.filter(widget => node.isWidgetVisible(widget)).map(widget => [widget.name, widget.y]);
        }""",
        node_id,
    )
    assert set(names) & {*SHOWN, *ADVANCED, "mcmc_steps", "tau"} <= {name for name, _ in drawn}
    assert [name for name, _ in drawn if name in others] == []
    places = [y for _, y in drawn]
    assert places == sorted(set(places)), "one below the other"
    assert max(b - a for a, b in itertools.pairwise(places)) <= 40, "without a gap"


def add(page, *types):
    """The user adds nodes to an empty graph; they are linked as their sockets fit by name."""
    page.evaluate(
        """types => {
            const { graph, canvas } = window.app;
            graph.clear();
            types.forEach((type, k) => {
                const node = LiteGraph.createNode(type);
                node.pos = [100 + 380 * k, 150];
                graph.add(node);
            });
            [canvas.ds.scale, canvas.ds.offset[0], canvas.ds.offset[1]] = [1, 0, 0];
            canvas.setDirty(true, true);
        }""",
        list(types),
    )


def old_graph(**former):
    """The whole search of release 0.1 with some of its numbers set."""
    workflow = json.loads((RELEASE / "daps_full.json").read_text(encoding="utf-8"))
    (node,) = [node for node in workflow["nodes"] if node["type"] == NODE]
    places = {"mcmc_steps": 2, "step_size": 3, "tau": 5, "momentum": 6, "prior_width": 7}
    for name, value in former.items():
        node["widgets_values"][places[name]] = value
    node["pos"] = [100, 150]
    return workflow


def open_graph(page, workflow):
    page.evaluate("workflow => window.app.loadGraphData(workflow)", workflow)
    page.wait_for_function("count => window.app.graph.nodes.length === count", arg=len(workflow["nodes"]))
    page.evaluate("() => { const { ds } = window.app.canvas; [ds.scale, ds.offset[0], ds.offset[1]] = [1, 0, 0]; }")


def test_a_fresh_node_shows_what_it_needs_and_nothing_else(editor, object_info):
    former = set(object_info[NODE]["input"]["optional"]) - {*SOCKETS, *ADVANCED}
    assert {"mcmc_steps", "tau", "ode_sigma_min", *FORMER_SOCKETS} <= former
    add(editor, NODE)
    (node,) = state(editor)
    assert node["sockets"] == SOCKETS
    assert node["widgets"] == SHOWN + ADVANCED
    assert node["advanced"] == ADVANCED
    assert node["height"] == pytest.approx(node["least"], abs=1)
    if editor.vue:
        assert_drawn(editor, node["id"], SOCKETS + SHOWN, [*former, *ADVANCED])
        editor.get_by_text("Show advanced inputs").click()
    assert_drawn(editor, node["id"], SHOWN + ADVANCED, former)


def test_a_number_of_an_old_graph_that_counts_is_shown(editor, object_info):
    old = old_graph(mcmc_steps=20, tau=0.05, momentum=-1)
    open_graph(editor, old)
    (node,) = state(editor)
    assert node["widgets"] == [*SHOWN, "mcmc_steps", "tau", *ADVANCED]
    assert node["advanced"] == ADVANCED, "what counts is not folded away"
    assert_drawn(editor, node["id"], [*SHOWN, "mcmc_steps", "tau"], ["step_size", "momentum", "prior_width"])
    sent = editor.evaluate("async () => (await window.app.graphToPrompt()).output")[str(node["id"])]["inputs"]
    assert sent == to_api(old, object_info)[str(node["id"])]["inputs"]
    assert (sent["mcmc_steps"], sent["tau"], sent["momentum"]) == (20, 0.05, -1)


def test_a_prompt_of_a_program_that_sets_one_shows_it(editor, object_info):
    prompt = to_api(old_graph(mcmc_steps=20), object_info)
    editor.evaluate("prompt => window.app.loadApiJson(prompt, 'from a program')", prompt)
    editor.wait_for_function("type => window.app.graph.nodes.some(node => node.type === type)", arg=NODE)
    (node,) = state(editor)
    assert node["widgets"] == [*SHOWN, "mcmc_steps", *ADVANCED]
    assert node["height"] >= node["least"]


def test_links_to_former_sockets_stay_and_sockets_without_go(editor):
    open_graph(editor, old_graph())
    (node,) = state(editor)
    assert node["sockets"] == SOCKETS + FORMER_SOCKETS
    wanted = {
        "measurement": "SamplerLabMeasure",
        "vae": "SamplerLabLoadEmojiPrior",
        "repulsion": "SamplerLabRepulsion",
        "pruning": "SamplerLabPruning",
        "hard_consistency": "SamplerLabHardConsistency",
    }
    assert node["linked"] == {name: [source, name] for name, source in wanted.items()}
    assert node["widgets"] == SHOWN + ADVANCED
    without = old_graph()
    (saved,) = [each for each in without["nodes"] if each["type"] == NODE]
    for slot in saved["inputs"]:
        if slot["name"] == "pruning":
            without["links"] = [link for link in without["links"] if link[0] != slot["link"]]
            slot["link"] = None
    open_graph(editor, without)
    (node,) = state(editor)
    assert node["sockets"] == [*SOCKETS, "hard_consistency"]
    del wanted["pruning"]
    assert node["linked"] == {name: [source, name] for name, source in wanted.items()}


COPY = """() => {
    const { canvas, graph } = window.app;
    canvas.selectItems(graph.nodes);
    canvas.copyToClipboard();
    canvas.pasteFromClipboard();
}"""


def test_a_copy_has_the_same_links_and_shows_the_same(editor):
    open_graph(editor, old_graph(tau=0.05))
    editor.evaluate(COPY)
    editor.wait_for_function("type => window.app.graph.nodes.filter(node => node.type === type).length === 2", arg=NODE)
    editor.wait_for_timeout(100)
    first, second = ({**node, "id": 0, "height": 0, "least": 0} for node in state(editor))
    assert second == first
    assert first["sockets"] == SOCKETS + FORMER_SOCKETS


def test_a_new_graph_copied_saved_and_opened_again(editor):
    """Two moves in a row and a data step, into the sockets behind which the former ones were."""
    add(editor, "SamplerLabPruning", "SamplerLabHardConsistency", "SamplerLabHmcDataStep", NODE)
    linked = editor.evaluate(
        """() => {
            const [pruning, polish, step, daps] = window.app.graph.nodes;
            const link = (from, to, name) => from.connect(0, to, to.inputs.findIndex(slot => slot.name === name));
            const made = [link(pruning, polish, "moves"), link(polish, daps, "moves"), link(step, daps, "data_step")];
            return made.every(Boolean);
        }"""
    )
    assert linked
    wanted = {
        "data_step": ["SamplerLabHmcDataStep", "data_step"],
        "moves": ["SamplerLabHardConsistency", "moves"],
    }
    editor.evaluate(COPY)
    editor.wait_for_function("() => window.app.graph.nodes.length === 8")
    editor.wait_for_timeout(100)
    saved = editor.evaluate("() => window.app.graph.serialize()")
    assert [node["linked"] for node in state(editor)] == [wanted, wanted]
    open_graph(editor, saved)
    again = state(editor)
    assert [node["linked"] for node in again] == [wanted, wanted]
    assert [node["sockets"] for node in again] == [SOCKETS, SOCKETS]
    assert [node["widgets"] for node in again] == [SHOWN + ADVANCED] * 2
    sent = editor.evaluate("async () => (await window.app.graphToPrompt()).output")
    assert sum("moves" in node["inputs"] for node in sent.values()) == 4


def test_undo_brings_back_what_was_shown(editor):
    open_graph(editor, old_graph(mcmc_steps=20))
    tracked = "what => window.app.extensionManager.workflow.activeWorkflow.changeTracker[what]()"
    remove = """type => {
        const { graph, extensionManager } = window.app;
        graph.remove(graph.nodes.find(node => node.type === type));
        extensionManager.workflow.activeWorkflow.changeTracker.captureCanvasState?.();
        extensionManager.workflow.activeWorkflow.changeTracker.checkState?.();
    }"""
    before = state(editor)
    editor.evaluate(remove, NODE)
    assert state(editor) == []
    editor.evaluate(tracked, "undo")
    editor.wait_for_function("type => window.app.graph.nodes.some(node => node.type === type)", arg=NODE)
    after = state(editor)
    assert [node["widgets"] for node in after] == [node["widgets"] for node in before]
    assert [node["linked"] for node in after] == [node["linked"] for node in before]


def test_within_a_subgraph(editor):
    """An old graph whose sampler was put into a subgraph: shown and linked as outside."""
    open_graph(editor, old_graph(tau=0.05))
    (outside,) = state(editor)
    editor.evaluate(
        """type => {
            const { graph, canvas } = window.app;
            const kinds = [type, "SamplerLabPruning", "SamplerLabHardConsistency"];
            graph.convertToSubgraph(new Set(graph.nodes.filter(node => kinds.includes(node.type))));
        }""",
        NODE,
    )
    saved = editor.evaluate("() => window.app.graph.serialize()")
    open_graph(editor, copy.deepcopy(saved))
    (inside,) = state(editor)
    assert inside["widgets"] == outside["widgets"] == [*SHOWN, "tau", *ADVANCED]
    assert inside["sockets"] == outside["sockets"] == SOCKETS + FORMER_SOCKETS
    assert inside["linked"]["pruning"] == ["SamplerLabPruning", "pruning"]
    assert inside["linked"]["hard_consistency"] == ["SamplerLabHardConsistency", "hard_consistency"]
    assert inside["linked"]["measurement"] == ["input", "measurement"]
