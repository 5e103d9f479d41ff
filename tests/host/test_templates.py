"""Every shipped template, in the queue and in the editor: it is whole, it runs, and both see the same graph."""

from __future__ import annotations

import json
import re

import pytest
from editor import READY, not_of_the_editor
from PIL import Image
from sampler_lab.labkit.places import MAIN_HOST, MAIN_TEMPLATE, PACK_NAME, ROOT
from sampler_lab.labkit.places import TEMPLATES as FOLDER
from sampler_lab.labkit.workflow import to_api

TEMPLATES = sorted(path.stem for path in FOLDER.glob("*.json"))
EVERY = pytest.mark.parametrize("name", TEMPLATES)
HANGUL = re.compile("[\uac00-\ud7a3]")
#: Nodes of the host that show something: their own names do not say what.
SHOWS = ("SaveImage", "PreviewImage", "PreviewAny")

pytestmark = pytest.mark.host


def load(name):
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def resolved(prompt):
    """Class and inputs of every node: what decides what a graph computes (titles do not)."""
    return {key: (node["class_type"], node["inputs"]) for key, node in prompt.items()}


def texts(workflow):
    """Everything in a template that a person reads and the host does not translate."""
    graphs = [workflow, *(workflow.get("definitions") or {}).get("subgraphs", [])]
    for graph in graphs:
        yield from (group["title"] for group in graph.get("groups") or [])
        for node in graph["nodes"]:
            if node.get("title"):
                yield node["title"]
            yield from (item["label"] for item in node.get("inputs") or [] if item.get("label"))
            if node["type"] == "MarkdownNote":
                yield node["widgets_values"][0]


@EVERY
def test_it_has_a_square_thumbnail(name):
    with Image.open(FOLDER / f"{name}.jpg") as picture:
        assert picture.width == picture.height >= 256


def test_names_sort_and_the_starter_is_first():
    """The editor shows a template's file name as its title, and people sort them by name."""
    assert [name[:2] for name in TEMPLATES] == [f"{k:02}" for k in range(1, len(TEMPLATES) + 1)]
    assert TEMPLATES[0] == MAIN_TEMPLATE.stem
    assert "start here" in TEMPLATES[0]
    assert not any("_" in name or name[3:].islower() for name in TEMPLATES)


@EVERY
def test_every_group_and_every_picture_has_a_title(name):
    workflow = load(name)
    assert workflow["groups"]
    assert all(group["title"] for group in workflow["groups"])
    untitled = [node["type"] for node in workflow["nodes"] if node["type"] in SHOWS and not node.get("title")]
    assert untitled == []
    titles = [node["title"] for node in workflow["nodes"] if node.get("title")]
    assert len(titles) == len(set(titles))
    assert [node["type"] for node in workflow["nodes"]].count("MarkdownNote") == 1


@EVERY
def test_its_nodes_name_their_packs(name):
    """So that an editor without the pack offers to install it."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    packs = {"comfy-core": MAIN_HOST, "sampler-lab": re.search(r'^version = "(.+)"$', project, re.MULTILINE)[1]}
    for node in load(name)["nodes"]:
        if node["type"] == "MarkdownNote":
            continue  # the editor's own
        properties = node["properties"]
        assert properties["cnr_id"] == ("sampler-lab" if node["type"].startswith("SamplerLab") else "comfy-core")
        assert numbers(properties["ver"]) <= numbers(packs[properties["cnr_id"]])


def numbers(version):
    return [int(part) for part in version.split(".")]


def korean_words():
    return json.loads((ROOT / "locales" / "ko" / "main.json").read_text(encoding="utf-8"))["samplerLab"]["templates"]


def test_everything_that_templates_say_is_said_in_korean():
    blueprints = [json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "subgraphs").glob("*.json")]
    said = {text for workflow in [*map(load, TEMPLATES), *blueprints] for text in texts(workflow)}
    words = korean_words()
    assert set(words) == said
    names = re.compile(r"^[A-Z0-9+ \-]+$", re.IGNORECASE)  # of a sampler: the same in every language
    assert [text for text, korean in words.items() if not HANGUL.search(korean) and not names.match(text)] == []
    for text, korean in words.items():
        assert korean.count("\n- ") == text.count("\n- "), "a note's list is whole"
        assert korean.startswith("## ") == text.startswith("## ")


@pytest.mark.browser
def test_the_template_list_can_fetch_every_template(page):
    """By the addresses that the editor makes of file names: blanks, brackets and plus signs included."""
    listed = page.evaluate("async () => (await window.app.api.fetchApi('/workflow_templates')).json()")
    assert set(TEMPLATES) <= set(listed[PACK_NAME])
    statuses = page.evaluate(
        """async ([pack, names]) => Promise.all(names.flatMap(name => ["json", "jpg"].map(async kind =>
            (await fetch(window.app.api.apiURL(`/workflow_templates/${pack}/${name}.${kind}`))).status)))""",
        [PACK_NAME, TEMPLATES],
    )
    assert set(statuses) == {200}


@pytest.mark.browser
@pytest.mark.parametrize(("name", "asked"), [(TEMPLATES[0], "emoji"), (TEMPLATES[1], "file")])
def test_app_mode_asks_for_two_things_by_names_that_say_something(page, name, asked):
    page.evaluate("workflow => window.app.loadGraphData(workflow)", load(name))
    page.wait_for_function("count => window.app.graph.nodes.length === count", arg=len(load(name)["nodes"]))
    selected = page.evaluate(
        """() => {
            const { $pinia } = document.querySelector("#vue-app").__vue_app__.config.globalProperties;
            const store = $pinia._s.get("appMode");
            return [store.selectedInputs.map(input => input[1]), store.selectedOutputs.length];
        }"""
    )
    assert len(selected[0]) == 2
    assert selected[0][1] in ("noise_seed", "seed")
    assert selected[1] >= 1
    page.evaluate("() => window.app.extensionManager.command.execute('Comfy.ToggleLinear')")
    try:
        page.wait_for_selector(f"text=/^{asked}$/", state="visible")
    finally:
        page.evaluate("() => window.app.extensionManager.command.execute('Comfy.ToggleLinear')")


@pytest.mark.browser
def test_a_template_opens_in_korean_and_a_changed_text_stays(page):
    def speak(language):
        page.evaluate("language => window.app.extensionManager.setting.set('Comfy.Locale', language)", language)
        page.reload()
        page.wait_for_function(READY)

    workflow = load(TEMPLATES[0])
    workflow["groups"][0]["title"] = "My own words"
    speak("ko")
    try:
        page.evaluate("workflow => window.app.loadGraphData(workflow)", workflow)
        page.wait_for_function("count => window.app.graph.nodes.length === count", arg=len(workflow["nodes"]))
        groups, notes, titles = page.evaluate(
            """() => {
                const { nodes, groups } = window.app.graph;
                return [groups.map(group => group.title),
                        nodes.filter(node => node.type === "MarkdownNote").map(node => node.widgets[0].value),
                        nodes.filter(node => node.type === "SaveImage").map(node => node.title)];
            }"""
        )
        assert groups[0] == "My own words"
        assert all(HANGUL.search(text) for text in [*groups[1:], *notes, *titles])
    finally:
        speak("en")


@pytest.mark.browser
def test_the_quality_table_is_said_in_korean(page, quality_reports):
    said = page.evaluate(
        """async ([pack, reports]) => {
            const { wordsOf } = await import(`/extensions/${pack}/reports/words.js`);
            const words = wordsOf("ko");
            return reports.flatMap(report => report.split("\\n")).filter(Boolean).flatMap(line => line.startsWith("|")
                ? line.split("|").slice(1, -1).map(cell => ["cell", cell.trim(), words.cell(cell.trim())])
                : [["line", line, words.line(line)]]);
        }""",
        [PACK_NAME, quality_reports],
    )
    lines = [(english, korean) for kind, english, korean in said if kind == "line"]
    assert [english for english, korean in lines if not HANGUL.search(korean)] == []
    words = {"particle", "chosen", "aligned by", "blind", "oracle", "residual / floor", "PSNR raw"}
    cells = {english: korean for kind, english, korean in said if kind == "cell"}
    assert words <= set(cells)
    assert [english for english in words if not HANGUL.search(cells[english])] == []


@pytest.fixture
def quality_reports():
    """Reports of Compare To Reference with every sentence that it can say."""
    torch = pytest.importorskip("torch")
    from sampler_lab.metrics.report import quality_table
    from sampler_lab.operators import PhaseRetrieval

    generator = torch.Generator().manual_seed(1)
    truth = torch.rand(1, 3, 32, 32, generator=generator) * 2 - 1
    measurement = PhaseRetrieval().measure(truth, seed=1)
    turned = truth.flip(-1, -2)
    one_channel = torch.cat([turned[:, :1], truth[:, 1:]], dim=1)
    broken = torch.full_like(truth, float("nan"))
    noisy = truth + 0.4 * torch.randn(truth.shape, generator=generator)
    reports = [
        quality_table(torch.cat(rows), truth, measurement).to_markdown() + "\n\nWritten to run_00001.json."
        for rows in ([noisy, turned, one_channel, broken], [truth], [noisy])
    ]
    apart = quality_table(torch.cat([noisy, truth]), truth, measurement, choose=lambda residual: 0)
    reports.append(apart.to_markdown())  # blind and oracle choose different particles
    by_run = quality_table(noisy, truth, measurement, recorded=[float(measurement.residual(noisy))], chosen=0)
    other = [quality_table(noisy, truth, measurement, recorded=recorded) for recorded in ([1.0], [1.0, 2.0])]
    reports += [table.to_markdown() for table in (by_run, *other)]
    said = ("Aligned channel", "Not finite", "Without", "by the run", "These images", "The run returned")
    assert all(any(words in report for report in reports) for words in said)
    return reports


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
    workflow = load(MAIN_TEMPLATE.stem)
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
