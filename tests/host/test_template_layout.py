"""Every template after a run, in both of the editor's renderers: nothing covers anything, nothing is shown twice."""

from __future__ import annotations

import json

import pytest
from sampler_lab.labkit import editor
from sampler_lab.labkit.layout import collisions, outside_of_groups
from sampler_lab.labkit.places import TEMPLATES

pytestmark = [pytest.mark.host, pytest.mark.browser]

NAMES = sorted(path.stem for path in TEMPLATES.glob("*.json"))
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


def test_no_two_nodes_show_the_same_pictures(page, ran):
    shown = page.evaluate(
        """async () => {
            const digest = async file => {
                const answer = await window.app.api.fetchApi(`/view?${new URLSearchParams(file)}`);
                const bitmap = await createImageBitmap(await answer.blob());
                const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
                canvas.getContext("2d").drawImage(bitmap, 0, 0);
                const { data } = canvas.getContext("2d").getImageData(0, 0, bitmap.width, bitmap.height);
                const hash = await crypto.subtle.digest("SHA-256", data);
                return [...new Uint8Array(hash)].join(",");
            };
            const found = [];
            for (const [id, output] of Object.entries(window.app.nodeOutputs))
                if (output.images) found.push([id, (await Promise.all(output.images.map(digest))).join(" ")]);
            return found;
        }"""
    )
    assert shown
    pictures = dict(shown)
    assert len(set(pictures.values())) == len(pictures), pictures.keys()


def test_small_pictures_are_drawn_large_on_the_classic_canvas(page, ran):
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
                const [{ naturalWidth, naturalHeight }] = node.imgs;
                found.push({ node: node.title, count: node.imgs.length, naturalWidth, naturalHeight, sizes,
                             room: node.size[0] });
            }
            return found;
        }"""
    )
    assert drawn
    for picture in drawn:
        large = [size for size in picture["sizes"] if max(size) >= LEGIBLE]
        assert len(large) >= picture["count"], picture
