"""The live view on Phase Retrieval Sampler, which samples by itself: its phases, its own choice, two prunings."""

from __future__ import annotations

import pytest
from editor import READY, not_of_the_editor, renderer
from live_view import LAST_PROMPT, VIEW, assert_same_numbers, load, record_named, run, seen, settled, start
from sampler_lab.labkit.places import PACK_NAME
from sampler_lab.priors.held_out import list_glyphs

pytestmark = [pytest.mark.host, pytest.mark.browser]

NODE = "SamplerLabPhaseRetrievalSampler"
PHASES = ["explore", "prune", "refine", "fit", "off_decoder", "choose"]


def graph(seed, effort, **inputs):
    """A glyph, measured, found again and compared with itself."""
    return {
        "1": {"class_type": "SamplerLabEmojiPicture", "inputs": {"name": list_glyphs()[0].name}},
        "2": {"class_type": "SamplerLabPhaseRetrieval", "inputs": {"preset": "daps"}},
        "3": {"class_type": "SamplerLabMeasure", "inputs": {"operator": ["2", 0], "image": ["1", 0], "seed": 3}},
        "4": {"class_type": "SamplerLabLoadEmojiPrior", "inputs": {"parameterization": "edm"}},
        "5": {"class_type": "SamplerLabEmojiPrompt", "inputs": {"class_name": "none"}},
        "6": {
            "class_type": NODE,
            "inputs": {"measurement": ["3", 0], "model": ["4", 0], "positive": ["5", 0], "vae": ["4", 1]}
            | {"effort": effort, "prior": "emoji_64", "seed": seed, **inputs},
        },
        "7": {
            "class_type": "SamplerLabCompareToReference",
            "inputs": {"particles": ["6", 1], "reference": ["1", 0], "measurement": ["3", 0], "run": ["6", 3]},
        },
    }


def opened(page, seed, effort=4, **inputs):
    """The graph, open in the editor as a workflow with an id of its own; returned as such."""
    page.evaluate("graph => window.app.loadApiJson(graph, 'recipe')", graph(seed, effort, **inputs))
    page.wait_for_function("type => window.app.graph.nodes.some(node => node.type === type)", arg=NODE)
    workflow = page.evaluate("() => JSON.parse(JSON.stringify(window.app.graph.serialize()))")
    workflow["id"] = f"00000000-0000-4000-8000-{seed:012d}"
    load(page, workflow)
    return workflow


@pytest.fixture(params=[False, True], ids=["canvas", "vue"])
def both(page, request):
    """The editor's page, with nodes drawn in one way or the other."""
    with renderer(page, vue=request.param):
        yield page


OVERFLOW = """selector => {
    const view = document.querySelector(selector);
    const thumbs = view.querySelector(".thumbs");
    return [view.scrollHeight - view.clientHeight, view.scrollWidth - view.clientWidth,
            thumbs.scrollHeight - thumbs.clientHeight];
}"""


def test_the_numbers_and_the_choice_are_those_of_the_record(both, server):
    page = both
    page.console_errors.clear()
    opened(page, seed=201 + page.evaluate("() => Number(Boolean(LiteGraph.vueNodesMode))"), effort=9)
    run(page)
    (view,) = seen(page)
    facts = record_named(server, view["file"])
    assert_same_numbers(view, facts)
    assert view["shownPhases"] == PHASES
    assert all(thumb["loaded"] == 64 for thumb in view["thumbs"])

    prunings = {row["step"]: row["pruning"] for row in facts["steps"] if row.get("pruning")}
    assert [len(pruning["kept"]) for pruning in prunings.values()] == [5, 3]
    assert view["prunes"] == [*prunings, *prunings]  # in both plots
    dropped = {str(each["particle"]): each["reason"] for pruning in prunings.values() for each in pruning["dropped"]}
    assert {thumb["particle"]: thumb["dropped"] for thumb in view["thumbs"] if thumb["dropped"]} == dropped
    assert [bool(thumb["dropped"]) for thumb in view["thumbs"]] == [False] * 3 + [True] * 6, "the others come later"

    # The order of the result is another one, and everybody is called what they were called.
    last, final = facts["steps"][-1], facts["final"]
    scores = dict(zip(last["choice"]["particles"], last["choice"]["score"], strict=True))
    assert final["particles"] == sorted(scores, key=scores.__getitem__)
    assert {int(thumb["particle"]) for thumb in view["thumbs"] if not thumb["dropped"]} == set(final["particles"])
    assert "score" in view["text"]
    ends = [view["lines"][str(name)][-1] for name in final["particles"]]
    assert all(point["residual"] < point["chain"] for point in ends), "the measurement has corrected the pictures"

    (table,) = facts["quality"]
    assert (table["blind"], table["blind_by"]) == (final["blind"], "run")
    report = page.evaluate("() => window.app.nodeOutputs[7].text[0]")
    assert f"**Chosen blind (by the run):** particle {final['blind']}, " in report

    settled(page, NODE)
    assert page.evaluate(OVERFLOW, VIEW) == [0, 0, 0]
    assert not_of_the_editor(page.console_errors) == []


SHOWN = """async pack => {
    const { phasesOf, checkedMessage } = await import(`/extensions/${pack}/live/message.js`);
    return window.runs.map(message => phasesOf(checkedMessage(message)));
}"""


@pytest.mark.parametrize(
    ("seed", "inputs", "phases"),
    [
        (203, {"effort": 3}, PHASES),
        (204, {"effort": 1}, ["explore", "fit", "off_decoder", "choose"]),
        (205, {"effort": 2, "measurement_weight": 0.0}, ["explore"]),
    ],
    ids=["three", "one", "the prior alone"],
)
def test_every_message_shows_the_phases_that_come_and_no_other(page, server, seed, inputs, phases):
    opened(page, seed, **inputs)
    run(page)
    (view,) = seen(page)
    assert_same_numbers(view, record_named(server, view["file"]))
    *going, end = page.evaluate(SHOWN, PACK_NAME)
    assert all(shown["all"] == phases for shown in going)
    current = [shown["current"] for shown in going]
    assert list(dict.fromkeys(current)) == phases
    assert all(shown["current"] in shown["reached"] for shown in going)
    assert end == {"reached": phases, "all": phases, "current": None}


def test_a_reload_in_the_middle_goes_on_and_one_afterwards_changes_nothing(page, server):
    opened(page, seed=206)
    start(page)
    page.wait_for_function("selector => document.querySelector(selector)?.dataset.step > 0", arg=VIEW)
    page.reload()
    page.wait_for_function(READY)
    page.wait_for_selector(VIEW, state="attached")
    assert page.evaluate("selector => document.querySelector(selector).dataset.status", VIEW) in ("running", "finished")
    (view,) = seen(page)
    facts = record_named(server, view["file"])
    assert facts["seed"] == 206
    assert_same_numbers(view, facts)
    assert view["shownPhases"] == PHASES
    page.reload()
    page.wait_for_function(READY)
    assert seen(page) == [view]


def test_a_cancelled_run_says_so_and_shows_the_phases_it_came_to(page, server):
    opened(page, seed=207, effort=16)
    start(page)
    page.wait_for_function("selector => document.querySelector(selector)?.dataset.step > 0", arg=VIEW)
    (running,) = seen(page, "running")
    assert running["shownPhases"] == PHASES
    page.evaluate("() => window.app.api.interrupt()")
    (view,) = seen(page, "cancelled")
    facts = record_named(server, view["file"])
    assert (facts["status"], facts["final"]) == ("cancelled", None)
    assert_same_numbers(view, facts)
    assert view["shownPhases"] == [phase["name"] for phase in facts["phases"]] != PHASES


def test_a_run_that_ended_while_the_editor_was_closed_is_read_from_its_record(page, server, client):
    """With the star where the run put it, and every phase that it came to."""
    workflow = opened(page, seed=208, effort=6)
    start(page)
    page.wait_for_function("selector => document.querySelector(selector)?.dataset.step > 0", arg=VIEW)
    prompt_id = page.evaluate(LAST_PROMPT)
    again = page.context.new_page()
    page.close()
    client.wait(prompt_id, timeout=300)
    again.set_default_timeout(120_000)
    again.goto(server.url)
    again.wait_for_function(READY)
    load(again, workflow)
    (view,) = seen(again)
    facts = record_named(server, view["file"])
    assert (facts["seed"], facts["status"]) == (208, "finished")
    assert_same_numbers(view, facts)
    assert view["shownPhases"] == PHASES
    assert len(facts["final"]["particles"]) == 2
