"""Every template after a run, in both of the editor's renderers: nothing covers anything, nothing is shown twice."""

from __future__ import annotations

import json

import pytest
from sampler_lab.instruments.plots import guidance as guiders_plot
from sampler_lab.instruments.plots import sigmas as schedules_plot
from sampler_lab.labkit import editor
from sampler_lab.labkit.layout import collisions, outside_of_groups
from sampler_lab.labkit.places import TEMPLATES

pytestmark = [pytest.mark.host, pytest.mark.browser]

NAMES = sorted(path.stem for path in TEMPLATES.glob("*.json"))
#: Nodes that show a plot, and where its letters are said.
PLOTS = {"SamplerLabPlotSigmas": schedules_plot, "SamplerLabPlotGuidance": guiders_plot}
SMALLEST_LETTER = 10.9  # 11, but for the rounding to whole pixels
#: What a picture of 64 pixels is drawn as, at least, on a node at 100 %.
LEGIBLE = 128


@pytest.fixture(scope="module")
def page(browser, server):
    """One page for all of them; a large one, so that whole graphs are on it."""
    context = browser.new_context(viewport={"width": 2200, "height": 1400})
    page = context.new_page()
    page.set_default_timeout(300_000)
    page.goto(server.url)
    page.wait_for_function(editor.READY)
    editor.calm(page)
    yield page
    editor.use_renderer(page, "classic")
    context.close()


@pytest.fixture(scope="module", params=NAMES)
def ran(request, page):
    """The template, run (cut short) on the classic canvas."""
    workflow = json.loads((TEMPLATES / f"{request.param}.json").read_text(encoding="utf-8"))
    editor.use_renderer(page, "classic")
    editor.open_workflow(page, workflow)
    editor.shorten(page, seed=900_000 + NAMES.index(request.param))
    editor.run_workflow(page, timeout=900)
    return workflow


def assert_tidy(page):
    editor.fit(page)
    nodes, groups = editor.rectangles(page)
    assert collisions(nodes) == []
    assert outside_of_groups(nodes, groups) == []
    assert collisions(dict(groups)) == []
    framed = {key for key, box in nodes.items() for _, group in groups if collisions({"node": box, "group": group})}
    loose = set(nodes) - framed
    kinds = page.evaluate("() => Object.fromEntries(window.app.graph.nodes.map(node => [node.id, node.type]))")
    assert {kinds[key] for key in loose} <= {"MarkdownNote"}, "every other node belongs to a group with a title"


def test_nothing_covers_anything_in_either_renderer(page, ran):
    assert_tidy(page)
    editor.use_renderer(page, "vue")
    try:
        assert_tidy(page)
    finally:
        editor.use_renderer(page, "classic")


def test_no_picture_is_shown_by_a_node_and_again_by_the_next(page, ran):
    """A node that shows its own plot needs no Preview Image behind it, and one output no two of them."""
    wait_for_pictures(page)
    shown = page.evaluate("() => Object.keys(window.app.nodeOutputs).filter(id => window.app.nodeOutputs[id].images)")
    assert shown
    sources = {}
    for _, origin, slot, target, place, _ in ran["links"]:
        kind = next(node["inputs"][place]["type"] for node in ran["nodes"] if node["id"] == target)
        if kind == "IMAGE" and str(target) in shown:
            sources.setdefault((str(origin), slot), []).append(str(target))
    twice = {origin: targets for (origin, _), targets in sources.items() if origin in shown or len(targets) > 1}
    assert twice == {}


def wait_for_pictures(page):
    """Until every picture of the run has come, as the editor loads them one by one."""
    page.wait_for_function(
        """() => window.app.graph.nodes.every(node => {
            const images = window.app.nodeOutputs[node.id]?.images;
            if (!images || LiteGraph.vueNodesMode) return true;
            return node.imgs?.length === images.length && node.imgs.every(image => image.complete);
        })"""
    )


def test_pictures_are_drawn_large_enough_on_the_classic_canvas(page, ran):
    """Small ones enlarged; plots so that their smallest letters have 11 pixels at 100 %."""
    editor.fit(page)
    wait_for_pictures(page)
    drawn = page.evaluate(
        """async () => {
            const { canvas, graph } = window.app;
            const found = [];
            for (const node of graph.nodes.filter(node => node.imgs?.length)) {
                canvas.ds.scale = 1;
                canvas.ds.offset[0] = 300 - node.pos[0];
                canvas.ds.offset[1] = 150 - node.pos[1];
                const original = CanvasRenderingContext2D.prototype.drawImage;
                const sizes = [];
                CanvasRenderingContext2D.prototype.drawImage = function (picture, x, y, width, height) {
                    if (this === canvas.ctx && width) sizes.push([Math.round(width), Math.round(height)]);
                    return original.apply(this, arguments);
                };
                canvas.draw(true, true);
                await new Promise(resolve => setTimeout(resolve, 100)); // the editor draws previews a moment later
                CanvasRenderingContext2D.prototype.drawImage = original;
                found.push({ node: node.title, type: node.type, count: node.imgs.length, sizes, room: node.size });
            }
            return found;
        }"""
    )
    assert drawn
    for picture in drawn:
        large = [size for size in picture["sizes"] if LEGIBLE <= max(size) < 2000]  # and not the canvas itself
        assert len(large) >= picture["count"], picture
        if picture["type"] in PLOTS:
            plot = PLOTS[picture["type"]]
            assert max(large)[0] / plot.ON_A_NODE["width"] * plot.LABEL >= SMALLEST_LETTER, picture


@pytest.mark.parametrize("renderer", editor.RENDERERS)
def test_nothing_is_cut_off_in_the_live_view(page, ran, renderer):
    """Every letter of its plots lies within them, whatever room the text below them takes."""
    editor.use_renderer(page, renderer)
    try:
        editor.fit(page)
        cut = page.evaluate(
            """() => [...document.querySelectorAll(".sampler-lab-run svg")].flatMap(svg => {
                const frame = svg.getBoundingClientRect();
                return [...svg.querySelectorAll("text")].filter(text => {
                    const box = text.getBoundingClientRect();
                    return box.top < frame.top - 2 || box.bottom > frame.bottom + 2 || box.right > frame.right + 2;
                }).map(text => text.textContent);
            })"""
        )
        assert cut == []
        views = page.locator(".sampler-lab-run").count()
        shown = ("SamplerLabLatentDAPS", "SamplerLabPhaseRetrievalSampler")
        assert views == sum(node["type"] in shown for node in ran["nodes"])
    finally:
        editor.use_renderer(page, "classic")


def letters_in_page(page, types):
    """Node type to the height of the smallest letters of its plot at 100 %, with nodes that are parts of the page."""
    found = {}
    for key, kind in types.items():
        page.evaluate(
            """id => {
                const { canvas, graph } = window.app;
                const node = graph.getNodeById(id);
                canvas.ds.scale = 1;
                canvas.ds.offset[0] = 300 - node.pos[0];
                canvas.ds.offset[1] = 150 - node.pos[1];
                canvas.setDirty(true, true);
            }""",
            key,
        )
        page.wait_for_function(
            "id => document.querySelector(`[data-node-id='${id}'] img`)?.naturalWidth > 0", arg=str(key)
        )
        page.wait_for_timeout(1500)
        width = page.evaluate(
            """id => {
                const image = document.querySelector(`[data-node-id='${id}'] img`);
                const { width, height } = image.getBoundingClientRect();
                return Math.min(width, (height * image.naturalWidth) / image.naturalHeight);
            }""",
            str(key),
        )
        found[kind] = width / PLOTS[kind].ON_A_NODE["width"] * PLOTS[kind].LABEL
    return found


def plots(page):
    kinds = page.evaluate("() => Object.fromEntries(window.app.graph.nodes.map(node => [node.id, node.type]))")
    return {int(key): kind for key, kind in kinds.items() if kind in PLOTS}


def test_letters_of_plots_can_be_read_in_nodes_of_the_page(page, ran):
    shown = plots(page)
    if not shown:
        return  # this template has none
    editor.use_renderer(page, "vue")
    try:
        assert min(letters_in_page(page, shown).values()) >= SMALLEST_LETTER
    finally:
        editor.use_renderer(page, "classic")


@pytest.mark.parametrize("renderer", editor.RENDERERS)
def test_a_new_node_takes_the_room_of_its_plot_and_an_opened_one_keeps_its_own(page, renderer):
    """A node that a user adds is as wide as the plot from the start, and as tall when the plot has come."""
    editor.use_renderer(page, "classic")
    editor.open_workflow(page, {"version": 0.4, "nodes": [], "links": [], "groups": []})
    editor.use_renderer(page, renderer)
    try:
        page.evaluate(
            """() => {
                const add = (type, x) => {
                    const node = LiteGraph.createNode(type);
                    node.pos = [x, 100];
                    window.app.graph.add(node);
                    return node;
                };
                const [prior, scheduler, plot] = [
                    add("SamplerLabLoadEmojiPrior", 0), add("BasicScheduler", 300), add("SamplerLabPlotSigmas", 650)];
                prior.connect(0, scheduler, 0);
                scheduler.connect(0, plot, 0);
            }"""
        )
        editor.run_workflow(page)
        shown = plots(page)
        (key,) = shown
        if renderer == "vue":
            assert min(letters_in_page(page, shown).values()) >= SMALLEST_LETTER
        size = page.evaluate("id => [...window.app.graph.getNodeById(id).size]", key)
        assert size[0] >= 520
        assert 800 < size[1] < 1000
        page.evaluate("id => window.app.graph.getNodeById(id).setSize([400, 500])", key)
        saved = page.evaluate("() => window.app.graph.serialize()")
        editor.open_workflow(page, saved)
        page.evaluate("() => { window.app.graph.nodes[1].widgets.find(each => each.name === 'steps').value = 7; }")
        editor.run_workflow(page)
        smaller = page.evaluate("id => [...window.app.graph.getNodeById(id).size]", key)
        assert smaller[0] < 520
        assert smaller[1] < 800
    finally:
        editor.use_renderer(page, "classic")
