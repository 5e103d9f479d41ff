"""Runs every template in a real editor: lays it out anew, draws its thumbnail, and the pictures of the help pages.

    python3 lab.py bench templates --arrange              node positions and sizes, from what is measured after a run
    python3 lab.py bench templates --thumbnails           example_workflows/*.jpg, from the results of a full run
    python3 lab.py bench templates --help-pictures        web/docs/*/*.png, nodes as they look after a full run
    python3 lab.py bench templates --screenshots FOLDER   the whole graph in both renderers, to look at

Names of templates (parts of them) may follow. It needs Chromium and what ``python3 lab.py test`` installs.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from lab import import_pack

import_pack()

from sampler_lab.labkit import editor
from sampler_lab.labkit.browser import CHROMIUM_FLAGS, find_chromium
from sampler_lab.labkit.client import Client
from sampler_lab.labkit.layout import arranged
from sampler_lab.labkit.link import link_folder
from sampler_lab.labkit.places import PACK_NAME, TEMPLATES
from sampler_lab.labkit.server import Server, make_base

SIDE, GAP, PAPER = 512, 8, (24, 24, 27)
#: Nodes whose size is a wish, for what they show; all others are as small as they can be.
SHOWS = ("SaveImage", "PreviewImage", "PreviewAny", "MarkdownNote")
SHOWS += tuple(
    f"SamplerLab{name}"
    for name in ("PreviewMeasurement", "PlotSigmas", "PlotGuidance", "CompareToReference", "LoadRuns", "LatentDAPS")
)
SHOWS += ("SamplerLabPhaseRetrievalSampler",)
SHOWS += tuple(f"SamplerLab{name}" for name in ("LangevinDataStep", "HmcDataStep", "ProbabilityFlowEstimate"))  # digits
#: Help page to the template and the node that is shown on it.
HELP_PICTURES = {
    "SamplerLabLatentDAPS/run": ("05", "SamplerLabLatentDAPS"),
    "SamplerLabCompareToReference/table": ("01", "SamplerLabCompareToReference"),
    "SamplerLabPreviewMeasurement/measurement": ("01", "SamplerLabPreviewMeasurement"),
    "SamplerLabPlotSigmas/plot": ("10", "SamplerLabPlotSigmas"),
    "SamplerLabPlotGuidance/plot": ("07", "SamplerLabPlotGuidance"),
    "SamplerLabPlotRuns/plot": ("05", "PreviewImage:last"),
}


@dataclass(frozen=True)
class Bench:
    """A page with the editor, and a client of the same server."""

    page: Any
    client: Client

    def run(self, workflow: dict[str, Any], steps: int) -> None:
        """Open the workflow on the classic canvas and run it, at most ``steps`` steps long."""
        editor.use_renderer(self.page, "classic")
        editor.open_workflow(self.page, workflow)
        editor.shorten(self.page, seed=_seed_of(workflow), steps=steps)
        editor.run_workflow(self.page, timeout=1800)
        editor.fit(self.page)

    def outputs(self) -> dict[str, Any]:
        """Node id to what the last run showed on it."""
        return self.page.evaluate("() => JSON.parse(JSON.stringify(window.app.nodeOutputs))")


@contextmanager
def bench() -> Iterator[Bench]:
    """A host of its own with this pack, and Chromium."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory(prefix="sampler-lab-") as folder:
        base = make_base(Path(folder))
        link_folder(ROOT, base / "custom_nodes" / PACK_NAME)
        with Server(Path(os.environ["COMFYUI_PATH"]), base=base) as server, sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=find_chromium(), args=list(CHROMIUM_FLAGS))
            page = chromium.new_context(viewport={"width": 2200, "height": 1400}).new_page()
            page.set_default_timeout(300_000)
            page.goto(server.url)
            page.wait_for_function(editor.READY)
            editor.calm(page)
            yield Bench(page, Client(server.url))


def arrange(at: Bench, workflow: dict[str, Any]) -> dict[str, Any]:
    """The workflow with room for everything it shows, in both renderers."""
    small = json.loads(json.dumps(workflow))
    for node in small["nodes"]:
        if node["type"] not in SHOWS:
            node["size"] = [10, 10]
        if node["type"] == "MarkdownNote":
            node["size"][1] = 60
    at.run(small, steps=3)
    sizes: dict[str, tuple[float, float]] = {}
    for renderer in editor.RENDERERS:
        editor.use_renderer(at.page, renderer)
        editor.fit(at.page)
        nodes, _ = editor.rectangles(at.page)
        for key, height in at.page.evaluate(_NOTES).items():
            nodes[key] = (*nodes[key][:3], height)
        for key, (_, _, width, height) in nodes.items():
            known = sizes.get(key, (0.0, 0.0))
            sizes[key] = (max(width, known[0]), max(height, known[1]))
    return arranged(workflow, sizes)


#: How tall each note must be for all of its text.
_NOTES = """() => Object.fromEntries(window.app.graph.nodes.filter(node => node.type === "MarkdownNote").map(node => {
    const inside = LiteGraph.vueNodesMode ? document.querySelector(`[data-node-id="${node.id}"]`)
                                          : node.widgets[0].element;
    const heights = [...inside.querySelectorAll("*")].filter(each => each.querySelector("h2, p"))
        .map(each => each.scrollHeight);
    return [node.id, Math.max(60, ...heights) + 70];
}))"""


def thumbnail(at: Bench, workflow: dict[str, Any]) -> Image.Image:
    """The pictures of the last run, as a square: a row for what was measured, if anything, and one for each result."""
    outputs, kinds = at.outputs(), {str(node["id"]): node["type"] for node in workflow["nodes"]}
    shown = [key for key in sorted(outputs, key=int) if outputs[key].get("images")]
    before = [
        _picture(at, file)
        for key in shown
        if kinds[key] in ("PreviewImage", "SamplerLabPreviewMeasurement")
        for file in outputs[key]["images"]
    ]
    measured = [[picture for picture in before if picture.width == picture.height]]
    results = [[_picture(at, file) for file in outputs[key]["images"]] for key in shown if kinds[key] == "SaveImage"]
    rows = [row for row in measured + [row for row in results if len(row) > 1] if row]
    if 1 < len(rows) <= 3:
        return _square(rows, across=len(rows))
    pictures = rows[0] if len(rows) == 1 else [row[0] for row in rows]
    across = math.ceil(math.sqrt(len(pictures)))
    return _square([pictures[k : k + across] for k in range(0, len(pictures), across)], across)


def _square(rows: list[list[Image.Image]], across: int) -> Image.Image:
    canvas, cell = Image.new("RGB", (SIDE, SIDE), PAPER), (SIDE - GAP) // across
    for k, row in enumerate(rows):
        row = row[:across]
        left, top = (SIDE - GAP - cell * len(row)) // 2 + GAP, (SIDE - GAP - cell * len(rows)) // 2 + GAP + k * cell
        for i, picture in enumerate(row):
            canvas.paste(picture.resize((cell - GAP, cell - GAP), Image.Resampling.LANCZOS), (left + i * cell, top))
    return canvas


def _picture(at: Bench, file: dict[str, str]) -> Image.Image:
    return Image.open(io.BytesIO(at.client.view(file))).convert("RGB")


def help_picture(at: Bench, node_type: str) -> Image.Image:
    """One node at 100 %, as the page-based renderer draws it."""
    kind, _, which = node_type.partition(":")
    editor.use_renderer(at.page, "vue")
    key = at.page.evaluate(
        """([kind, last]) => {
            const found = window.app.graph.nodes.filter(node => node.type === kind);
            const node = found.at(last ? -1 : 0);
            const { ds } = window.app.canvas;
            ds.scale = 1;
            ds.offset[0] = 300 - node.pos[0];
            ds.offset[1] = 150 - node.pos[1];
            window.app.canvas.setDirty(true, true);
            return node.id;
        }""",
        [kind, which == "last"],
    )
    at.page.wait_for_timeout(2000)
    shot = at.page.locator(f'[data-node-id="{key}"]').screenshot()
    return Image.open(io.BytesIO(shot)).convert("RGB")


def _seed_of(workflow: dict[str, Any]) -> int:
    noise = [node["widgets_values"][0] for node in workflow["nodes"] if node["type"] == "RandomNoise"]
    return noise[0] if noise else 42


def work_on(at: Bench, path: Path, options: argparse.Namespace) -> None:
    """Do what was asked for with one template."""
    workflow = json.loads(path.read_text(encoding="utf-8"))
    if options.arrange:
        workflow = arrange(at, workflow)
        path.write_text(json.dumps(workflow, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    pictures = {
        name: kind
        for name, (number, kind) in HELP_PICTURES.items()
        if options.help_pictures and path.name.startswith(number)
    }
    if not (options.thumbnails or options.screenshots or pictures):
        return
    at.run(workflow, steps=options.steps)
    if options.thumbnails:
        thumbnail(at, workflow).save(path.with_suffix(".jpg"), quality=85, optimize=True)
    for renderer in editor.RENDERERS if options.screenshots else ():
        editor.use_renderer(at.page, renderer)
        editor.fit(at.page)
        options.screenshots.mkdir(parents=True, exist_ok=True)
        at.page.screenshot(path=str(options.screenshots / f"{path.stem}.{renderer}.png"))
    for name, kind in pictures.items():
        target = ROOT / "web" / "docs" / f"{name}.png"
        help_picture(at, kind).quantize(128).save(target, optimize=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="lab.py bench templates", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="templates whose names hold one of these; all by default")
    parser.add_argument("--arrange", action="store_true", help="lay the nodes out anew")
    parser.add_argument("--thumbnails", action="store_true", help="draw the thumbnails")
    parser.add_argument("--help-pictures", action="store_true", help="draw the pictures of the help pages")
    parser.add_argument("--screenshots", type=Path, metavar="FOLDER", help="write pictures of the whole graphs")
    parser.add_argument("--steps", type=int, default=10_000, help="cut every run short: for a quick look")
    options = parser.parse_args()
    with bench() as at:
        for path in sorted(TEMPLATES.glob("*.json")):
            if not options.names or any(name in path.stem for name in options.names):
                work_on(at, path, options)
                print(path.stem, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
