"""The live view of a run: the host's messages, and what the editor makes of them in a real browser on real runs."""

from __future__ import annotations

import copy
import json
import math
import re
from io import BytesIO

import pytest
import torch
from editor import READY, not_of_the_editor, renderer
from live_view import LAST_PROMPT, VIEW, assert_same_numbers, load, record_named, run, seen, settled, start
from PIL import Image
from sampler_lab.diffusion.observer import Observers
from sampler_lab.host.live_view import EVENT, LiveView
from sampler_lab.instruments.record import RunRecord
from sampler_lab.labkit.places import LATENT_DAPS_TEMPLATE, PACK_NAME

TEMPLATE = LATENT_DAPS_TEMPLATE
NODE = "SamplerLabLatentDAPS"
PROPERTY = "sampler_lab_run"


def in_editor(test):
    """Mark ``test`` as one that needs a host and a browser."""
    return pytest.mark.host(pytest.mark.browser(test))


# The messages ---------------------------------------------------------------------------------------------------------


class Listener:
    """In the server's place: keeps what it is told to send."""

    client_id = "editor"

    def __init__(self):
        self.sent = []

    def send_sync(self, event, message, client_id):
        self.sent.append((event, json.loads(json.dumps(message, allow_nan=False)), client_id))


def begun(particles=2, steps=6):
    record = RunRecord()
    sigmas = [float(steps - i) for i in range(steps + 1)]
    measurement = {"values": 3, "noise_floor": 0.5, "operator": {}}
    record.begin(options={}, seed=1, sigmas=sigmas, particles=particles, measurement=measurement)
    return record


def step(record, view, i, residual=(2.0, 1.0), phase="explore"):
    names = list(range(len(residual)))
    record.enter(phase)
    record.step(i, 6.0 - i, particles=names, residual=list(residual), pairwise_distance=0.25, repulsion=0.0)
    view.images(names, torch.zeros(len(residual), 3, 8, 8))


def listened(record, interval):
    view = LiveView("12:5", record, interval=interval)
    view._server = Listener()
    return view, view._server.sent


def test_nothing_is_sent_or_computed_when_nobody_listens():
    record = begun()
    for node in (None, "5"):
        view = LiveView(node, record)
        step(record, view, 0)
        view.close()
        assert view._thumbnails == {}
        assert view._images is None


def test_at_most_one_message_an_interval_and_one_more_at_a_new_phase_and_at_the_end():
    record = begun()
    view, sent = listened(record, interval=3600.0)
    for i in range(4):
        step(record, view, i)
    assert len(sent) == 1
    step(record, view, 4, phase="refine")
    step(record, view, 5, phase="refine")
    assert len(sent) == 2
    record.finish("finished")
    view.close()
    assert [len(message["rows"]) for _, message, _ in sent] == [1, 5, 6]
    assert {(event, client) for event, _, client in sent} == {(EVENT, "editor")}


def test_a_message_holds_the_whole_run():
    record = begun()
    view, sent = listened(record, interval=0.0)
    for i in range(3):
        step(record, view, i, residual=(2.0, math.nan))
    assert len(sent) == 3
    message = sent[-1][1]
    assert [row["step"] for row in message["rows"]] == [0, 1, 2]
    assert message["rows"][2]["residual"] == [2.0, None]
    assert (message["node"], message["status"], message["phase"]) == ("12:5", "running", "explore")
    assert (message["steps"], message["count"], message["noise_floor"]) == (6, 2, 0.5)
    assert sorted(message["thumbnails"]) == ["0", "1"]
    record.finish("cancelled")
    view.close()
    assert sent[-1][1]["status"] == "cancelled"


def test_at_the_end_a_message_holds_the_final_choice():
    """As in the record and in Compare To Reference, whatever the last step's decoder made of the order."""
    record = begun()
    view, sent = listened(record, interval=0.0)
    step(record, view, 5, residual=(1.001, 1.0))
    assert sent[-1][1]["final"] is None
    record.final([0, 1], torch.tensor([0.999, 1.0]))
    record.finish()
    view.close()
    assert sent[-1][1]["final"] == record.to_dict()["final"]
    assert sent[-1][1]["final"]["blind"] == 0


def test_a_phase_is_told_of_when_it_begins_for_the_first_time_and_those_that_will_come_before_it():
    record = begun()
    view, sent = listened(record, interval=3600.0)
    told = Observers(record, view)
    told.plan(["explore", "prune", "refine", "fit"])
    told.enter("explore")
    step(record, view, 0)
    for phase in ("prune", "refine", "fit", "refine", "fit"):
        told.enter(phase)
    assert [message["phase"] for _, message, _ in sent] == ["explore", "explore", "prune", "refine", "fit"]
    assert [len(message["entered"]) for _, message, _ in sent] == [1, 1, 2, 3, 4]
    assert all(message["planned"] == ["explore", "prune", "refine", "fit"] for _, message, _ in sent)
    assert sent[0][1]["rows"] == []


def test_a_message_holds_what_the_moves_report():
    record = begun()
    view, sent = listened(record, interval=0.0)
    moved = {"particles": [0, 1], "residual_before": [2.0, 1.0], "residual": [1.5, math.nan]}
    choice = {"particles": [0, 1], "misfit": [3.0, 2.0], "prior_error": [0.1, 0.2], "score": [3.03, 2.06]}
    step(record, view, 0)
    record.step(0, 6.0, phase="explore", off_decoder=moved, choice=choice)
    view.close()
    (row,) = sent[-1][1]["rows"]
    assert row["off_decoder"] == {**moved, "residual": [1.5, None]}
    assert row["choice"] == choice
    assert not {"polish", "pruning"} & set(row)


def test_a_large_picture_is_sent_small():
    record = begun(particles=1)
    view, sent = listened(record, interval=0.0)
    view.images([0], torch.rand(1, 3, 512, 768) * 2 - 1)
    assert len(sent[0][1]["thumbnails"]["0"]) < 12_000


# The editor -----------------------------------------------------------------------------------------------------------


def small(seed, steps=4, particles=2, mcmc_steps=2):
    """The template cut short. Another seed is another run; the same one would come from the host's cache."""
    workflow = json.loads(TEMPLATE.read_text(encoding="utf-8"))
    first = {"SamplerLabAnnealingScheduler": steps, "SamplerLabParticles": particles, "RandomNoise": seed}
    for node in workflow["nodes"]:
        if node["type"] in first:
            node["widgets_values"][0] = first[node["type"]]
        if node["type"] == "SamplerLabLatentDAPS":
            node["widgets_values"][2] = mcmc_steps
    return workflow


@in_editor
def test_the_numbers_shown_are_those_of_the_record(page, server):
    page.console_errors.clear()
    load(page, small(seed=101, particles=3))
    assert page.locator(VIEW).count() == 0
    run(page)
    (view,) = seen(page)
    facts = record_named(server, view["file"])
    assert facts["seed"] == 101
    assert_same_numbers(view, facts)
    assert (view["status"], view["steps"], view["step"], view["phases"]) == ("finished", "4", "3", "explore")
    assert all(thumb["loaded"] == 64 for thumb in view["thumbs"])
    assert "blind choice" in view["thumbs"][int(view["blind"])]["text"]
    assert int(view["blind"]) == facts["quality"][0]["blind"]
    assert view["file"] in view["text"]
    assert "step 4 of 4" in view["label"]
    said = said_at_the_right_edge(page)
    assert "step 4 of 4" in said
    for text in (said, view["text"], view["label"]):
        assert re.search(r"residual [\d.]+, [\d.]+ × noise floor", text)
        assert not re.search(r"\d[.]\d{4}|\d{4}[.]\d", text), f"more digits than one reads: {text}"
    assert "residual (× floor)" in view["text"]
    assert "annealing step" in view["text"]
    assert not_of_the_editor(page.console_errors) == []


def said_at_the_right_edge(page):
    """The line of numbers when the pointer is over the last step."""
    return page.evaluate(
        """selector => {
            const svg = document.querySelector(`${selector} .residuals svg`);
            const { right, top } = svg.getBoundingClientRect();
            svg.dispatchEvent(new PointerEvent("pointermove", { clientX: right - 1, clientY: top + 5 }));
            return document.querySelector(`${selector} .readout`).textContent;
        }""",
        VIEW,
    )


SEARCH = """() => {
    const daps = window.app.graph.nodes.find(node => node.type === "SamplerLabLatentDAPS");
    const made = name => {
        const node = LiteGraph.createNode(`SamplerLab${name}`);
        window.app.graph.add(node);
        return node;
    };
    const link = (from, to, input) => from.connect(0, to, to.inputs.findIndex(slot => slot.name === input));
    const hardConsistency = made("HardConsistency");
    link(made("Repulsion"), daps, "repulsion");
    link(made("Pruning"), hardConsistency, "moves");
    link(hardConsistency, daps, "moves");
}"""


@in_editor
def test_a_search_shows_who_was_dropped_why_and_when(page, server):
    load(page, small(seed=102, steps=6, particles=4))
    page.evaluate(SEARCH)
    run(page)
    (view,) = seen(page)
    facts = record_named(server, view["file"])
    assert_same_numbers(view, facts)
    ((when, pruning),) = [(row["step"], row["pruning"]) for row in facts["steps"] if row.get("pruning")]
    assert len(pruning["dropped"]) == 2
    shown = {int(thumb["particle"]): thumb for thumb in view["thumbs"]}
    reasons = {entry["particle"]: entry["reason"] for entry in pruning["dropped"]}
    assert {name: thumb["dropped"] for name, thumb in shown.items() if thumb["dropped"]} == reasons
    assert all("dropped:" in shown[name]["text"] for name in reasons)
    assert view["prunes"] == [when, when]  # in both plots
    assert view["phases"] == "explore prune refine polish"
    assert any(row.get("repulsion") for row in facts["steps"])
    assert page.locator(f"{VIEW} rect.repulsion").count() == 2


GRAPH = "() => JSON.parse(JSON.stringify(window.app.graph.serialize()))"
MODIFIED = "() => window.app.extensionManager.workflow.activeWorkflow.isModified"
#: The editor looks at the graph as it does after every click and key, for its undo and for the mark of a change.
LOOK = """() => window.app.extensionManager.workflow.activeWorkflow.changeTracker.captureCanvasState()"""


def without_growth(graph):
    """The nodes, without the heights of those that the editor makes taller for its own previews."""
    return [
        node if node["type"] == "SamplerLabLatentDAPS" else {**node, "size": None}
        for node in sorted(graph["nodes"], key=lambda node: node["id"])
    ]


@pytest.fixture(params=[False, True], ids=["canvas", "vue"])
def both(page, request):
    """The editor's page, with nodes drawn in one way or the other."""
    with renderer(page, vue=request.param):
        yield page


@in_editor
def test_a_run_is_no_part_of_the_workflow(both, client):
    """Not of the graph that is saved, not of a picture's, not of a copy of the node, not of what can be undone."""
    page = both
    workflow = small(seed=103)
    load(page, workflow)
    settled(page, NODE)
    page.evaluate(LOOK)
    page.wait_for_function("() => !window.app.extensionManager.workflow.isBusy")
    before = page.evaluate(GRAPH)
    run(page)
    seen(page)
    settled(page, NODE)
    assert without_growth(page.evaluate(GRAPH)) == without_growth(before)

    page.evaluate("() => { window.app.graph.nodes.find(node => node.type === 'RandomNoise').widgets[0].value = 1103; }")
    page.evaluate(LOOK)
    run(page)
    (view,) = seen(page)
    (newest,) = [entry for entry in client_history(client) if entry["prompt"][1] == page.evaluate(LAST_PROMPT)]
    pictures = [file for node in newest["outputs"].values() for file in node.get("images", [])]
    assert pictures
    for file in [file for file in pictures if file["type"] == "output"]:
        embedded = Image.open(BytesIO(client.view(file))).text["workflow"]
        assert PROPERTY not in embedded
        assert '"rows"' not in embedded
        assert "thumbnails" not in embedded

    page.evaluate(
        """() => {
            const { canvas, graph } = window.app;
            canvas.copyToClipboard([graph.nodes.find(node => node.type === "SamplerLabLatentDAPS")]);
            canvas.pasteFromClipboard();
        }"""
    )
    page.evaluate(LOOK)
    assert page.evaluate("() => window.app.graph.nodes.filter(n => n.type === 'SamplerLabLatentDAPS').length") == 2
    assert page.locator(VIEW).count() == 1
    undo = "() => window.app.extensionManager.workflow.activeWorkflow.changeTracker.undo()"
    for _ in range(2):  # the pasted node, then the seed
        page.evaluate(undo)
    value = "() => window.app.graph.nodes.find(node => node.type === 'RandomNoise').widgets[0].value"
    assert page.evaluate(value) == 103
    page.wait_for_function("selector => document.querySelectorAll(selector).length === 1", arg=VIEW)
    assert seen(page) == [view]
    page.evaluate(undo.replace("undo", "redo"))
    page.wait_for_function("selector => document.querySelectorAll(selector).length === 1", arg=VIEW)
    assert seen(page) == [view]


def client_history(client):
    return list(client._get("/history").values())


@in_editor
def test_the_picture_stays_after_a_reload_and_in_the_workflow_opened_again(page):
    load(page, small(seed=110))
    run(page)
    (before,) = seen(page)
    saved = page.evaluate(GRAPH)
    page.reload()
    page.wait_for_function(READY)
    assert seen(page) == [before]
    settled(page, NODE)
    page.evaluate(LOOK)
    assert not page.evaluate(MODIFIED)
    other = small(seed=110)
    other["id"] = "00000000-0000-4000-8000-000000000001"
    load(page, other)
    assert page.locator(VIEW).count() == 0
    load(page, saved)
    assert seen(page) == [before]


@in_editor
def test_a_reload_in_the_middle_goes_on_and_a_cancelled_run_says_so(page, server):
    load(page, small(seed=104, steps=1000))
    start(page)
    page.wait_for_function("selector => document.querySelector(selector)?.dataset.step > 0", arg=VIEW)
    page.reload()
    page.wait_for_function(READY)
    (after,) = seen(page, "running")
    page.wait_for_function(
        "([selector, step]) => Number(document.querySelector(selector).dataset.step) > step",
        arg=[VIEW, int(after["step"])],
    )
    page.evaluate("() => window.app.api.interrupt()")
    (view,) = seen(page, "cancelled")
    facts = record_named(server, view["file"])
    assert facts["status"] == "cancelled"
    assert_same_numbers(view, facts)
    assert "cancelled" in view["label"]


@in_editor
def test_a_run_that_ended_while_the_editor_was_closed_shows_as_finished(page, server, client):
    """Its record tells, to an editor that the host does not know."""
    workflow = small(seed=111, steps=30)
    load(page, workflow)
    start(page)
    page.wait_for_function("selector => document.querySelector(selector)?.dataset.step > 0", arg=VIEW)
    prompt_id = page.evaluate(LAST_PROMPT)
    context = page.context
    again = context.new_page()
    page.close()
    client.wait(prompt_id, timeout=300)
    again.set_default_timeout(120_000)
    again.goto(server.url)
    again.wait_for_function(READY)
    load(again, workflow)
    (view,) = seen(again)
    facts = record_named(server, view["file"])
    assert facts["seed"] == 111
    assert view["step"] == "29"
    assert_same_numbers(view, facts)


SECOND = """() => {
    const graph = window.app.graph;
    const find = type => graph.nodes.find(node => node.type === type);
    const copy = type => {
        const [old, node] = [find(type), LiteGraph.createNode(type)];
        graph.add(node);
        old.inputs.forEach((slot, k) => {
            const link = slot.link === null ? null : graph.links.get?.(slot.link) ?? graph.links[slot.link];
            if (link) graph.getNodeById(link.origin_id).connect(link.origin_slot, node, k);
        });
        return node;
    };
    const [sampler, chain, decode, save] =
        ["SamplerLabLatentDAPS", "SamplerCustomAdvanced", "VAEDecode", "SaveImage"].map(copy);
    const into = (from, to, name) => from.connect(0, to, to.inputs.findIndex(slot => slot.name === name));
    into(sampler, chain, "sampler");
    into(chain, decode, "samples");
    into(decode, save, "images");
    const noise = copy("RandomNoise");
    noise.widgets[0].value = 1105;
    into(noise, chain, "noise");
}"""


@in_editor
def test_two_nodes_in_one_graph_show_their_own_runs(page, server):
    """Also when their inputs are equal, so that the host could take one sampler for both."""
    load(page, small(seed=105))
    page.evaluate(SECOND)
    run(page)
    page.wait_for_function(
        "selector => document.querySelectorAll(selector).length === 2", arg=f'{VIEW}[data-status="finished"]'
    )
    views = seen(page)
    files = {view["file"]: record_named(server, view["file"]) for view in views}
    assert sorted(facts["seed"] for facts in files.values()) == [105, 1105]
    for view in views:
        assert_same_numbers(view, files[view["file"]])
    last = {message["node"]: message["file"] for message in page.evaluate("() => window.runs")}
    assert len(last) == 2
    assert set(last.values()) == set(files)
    assert {facts["prompt"]["node"]: file for file, facts in files.items()} == last


@in_editor
def test_a_node_inside_a_subgraph_gets_its_run(page, server):
    """First run outside, so that the host's cache knows the sampler by another id."""
    load(page, small(seed=108))
    run(page)
    page.evaluate("() => { window.app.graph.nodes.find(node => node.type === 'RandomNoise').widgets[0].value = 109; }")
    inside = page.evaluate(
        """() => {
            const { graph } = window.app;
            if (!graph.convertToSubgraph) return false;
            graph.convertToSubgraph(new Set(graph.nodes.filter(node => node.type === "SamplerLabLatentDAPS")));
            return true;
        }"""
    )
    if not inside:
        pytest.skip("this host's editor has no subgraphs")
    run(page)
    message = page.evaluate("() => window.runs.at(-1)")
    assert ":" in message["node"]
    shown = page.evaluate(
        """() => window.app.graph.nodes.filter(node => node.subgraph).flatMap(node => node.subgraph.nodes.map(
            inner => inner.widgets.find(widget => widget.name === "run")?.view.message.file))"""
    )
    assert shown == [message["file"]]
    assert record_named(server, message["file"])["seed"] == 109


def remembered(node_id="11", **changes):
    """A run as a workflow of release 0.1.0 kept it."""
    row = {"step": 0, "sigma": 1.0, "phase": "explore", "particles": [0, 1], "residual": [2.0, 1.0]}
    message = {
        "node": node_id,
        "status": "finished",
        "phase": None,
        "steps": 1,
        "count": 2,
        "noise_floor": 0.5,
        "blind": 1,
        "rows": [row | {"pairwise_distance": 0.25}],
        "thumbnails": {},
        "seconds": 1.0,
        "file": "run_00001.json",
    }
    return copy.deepcopy(message) | changes


def with_run(remembered_run):
    workflow = small(seed=106)
    for node in workflow["nodes"]:
        if node["type"] == "SamplerLabLatentDAPS":
            assert node["id"] == 11
            node.setdefault("properties", {})[PROPERTY] = remembered_run
    return workflow


MALFORMED = [
    "a text",
    [1, 2],
    {},
    remembered(rows=None),
    remembered(final={"particles": [0, 1], "residual": [1.0]}),
    remembered(rows=[{"step": 0}]),
    remembered(rows=[{**remembered()["rows"][0], "residual": [1.0]}]),
    remembered(status="<b>done</b>"),
    remembered(count=1e12, steps="many"),
    remembered(thumbnails={"0": "https://example.org/picture.jpg"}),
    remembered(node_id="99"),
    remembered(planned="explore"),
    remembered(entered=[["explore"]]),
    remembered(rows=[{**remembered()["rows"][0], "off_decoder": {"particles": [0], "residual": []}}]),
    remembered(rows=[{**remembered()["rows"][0], "choice": {"particles": [0], "score": [1.0], "prior_error": []}}]),
]


def chosen(page, message):
    """Who is chosen blind of this message."""
    return page.evaluate(
        """async ([pack, message]) => {
            const { blindOf, checkedMessage } = await import(`/extensions/${pack}/live/message.js`);
            return blindOf(checkedMessage(message));
        }""",
        [PACK_NAME, message],
    )


@in_editor
def test_who_is_chosen_before_the_run_knows_is_among_those_that_are_left_and_their_polish_counts(page):
    row = remembered()["rows"][0]
    three = {**row, "particles": [0, 1, 2], "residual": [1.0, 3.0, 2.0]}
    pruned = {**three, "pruning": {"kept": [1, 2], "dropped": [{"particle": 0, "reason": "not drawn"}], "new": []}}
    polished = {**pruned, "polish": {"particles": [1, 2], "residual": [0.5, 2.0]}}
    for rows, name in ([three], 0), ([pruned], 2), ([polished], 1), ([{**three, "residual": [None, None, 5.0]}], 2):
        assert chosen(page, remembered(rows=rows, count=3, status="cancelled")) == name
    corrected = {**polished, "off_decoder": {"particles": [1, 2], "residual": [0.5, 0.4]}}
    assert chosen(page, remembered(rows=[corrected], count=3)) == 2
    for score, name in ([1.0, 2.0], 1), ([None, 2.0], 2), ([None, None], 2):
        choice = {"particles": [1, 2], "misfit": [1.0, 1.0], "prior_error": [0.0, 0.0], "score": score}
        assert chosen(page, remembered(rows=[{**corrected, "choice": choice}], count=3)) == name
    assert chosen(page, remembered(rows=[{**three, "residual": [None] * 3}], count=3)) is None
    assert chosen(page, remembered(rows=[])) is None


@in_editor
def test_who_is_chosen_at_the_end_is_the_records_to_say(page):
    final = {"particles": [0, 1], "residual": [1.0, 1.001], "blind": 0}
    assert chosen(page, remembered()) == 1
    assert chosen(page, remembered(final=final)) == 0
    assert chosen(page, remembered(final={**final, "blind": None})) is None


def phases(page, message):
    """Which phases this message is shown with: all of them, those that were reached, the present one."""
    return page.evaluate(
        """async ([pack, message]) => {
            const { phasesOf, checkedMessage } = await import(`/extensions/${pack}/live/message.js`);
            const { all, reached, current } = phasesOf(checkedMessage(message));
            return [all.join(" "), reached.join(" "), current];
        }""",
        [PACK_NAME, message],
    )


@in_editor
def test_the_phases_shown_are_those_that_come_and_after_the_run_those_that_came(page):
    plan = ["explore", "prune", "polish", "refine"]
    whole = "explore prune refine polish"
    row = remembered()["rows"][0]
    pruned = {**row, "pruning": {"kept": [0], "dropped": [{"particle": 1, "reason": "not drawn"}], "new": []}}
    polished = {**pruned, "polish": {"particles": [0], "residual": [0.5]}}

    def shown(phase, entered, rows, status="running"):
        return phases(page, remembered(phase=phase, planned=plan, entered=entered, rows=rows, status=status))

    assert shown("explore", plan[:1], [row]) == [whole, "explore", "explore"]
    assert shown("prune", plan[:2], [row]) == [whole, "explore prune", "prune"]
    assert shown("polish", plan[:3], [pruned]) == [whole, "explore prune polish", "polish"]
    # A step is told of before its hard consistency, so from then on that is what takes the time.
    assert shown("refine", plan, [polished]) == [whole, whole, "polish"]
    assert shown(None, plan[:2], [pruned]) == [whole, "explore prune", "prune"]  # from a record
    assert shown(None, plan[:2], [pruned], "cancelled") == ["explore prune", "explore prune", None]
    # A run that was kept by an earlier release.
    assert phases(page, remembered(rows=[polished])) == ["explore prune polish", "explore prune polish", None]
    assert phases(page, remembered(rows=[row], status="running")) == ["explore", "explore", "explore"]


@in_editor
def test_a_workflow_that_carries_its_run_shows_it_and_carries_it_no_longer(page):
    load(page, with_run(remembered()))
    (view,) = seen(page)
    assert (view["file"], view["blind"]) == ("run_00001.json", "1")
    page.evaluate(LOOK)
    assert PROPERTY not in json.dumps(page.evaluate(GRAPH))
    assert not page.evaluate(MODIFIED)


@in_editor
def test_a_workflow_with_a_malformed_run_opens_without_it(page):
    page.console_errors.clear()
    for malformed in MALFORMED:
        load(page, with_run(malformed))
        assert page.locator(VIEW).count() == 0, malformed
        assert PROPERTY not in json.dumps(page.evaluate(GRAPH)), malformed
    assert not_of_the_editor(page.console_errors) == []


@in_editor
def test_a_run_that_ended_while_the_workflow_was_closed_is_not_said_to_run(page):
    load(page, with_run(remembered(status="running", prompt_id="a prompt of yesterday")))
    (view,) = seen(page, "lost")
    assert "ended unseen" in view["label"]


@in_editor
def test_what_happened_while_another_workflow_was_open_is_shown_on_coming_back(page, server):
    workflow = small(seed=107, steps=20)
    load(page, workflow)
    start(page)
    page.wait_for_function("() => window.runs.length > 0")
    other = small(seed=107)
    other["id"] = "00000000-0000-4000-8000-000000000000"
    load(page, other)
    page.wait_for_function("() => window.runEnd !== null", timeout=300_000)
    assert page.locator(VIEW).count() == 0
    load(page, workflow)
    (view,) = seen(page)
    assert_same_numbers(view, record_named(server, view["file"]))
