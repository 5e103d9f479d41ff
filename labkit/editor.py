"""A page with ComfyUI's editor in it, driven: open a workflow, run it, see where its nodes lie.

Every function takes a Playwright ``Page`` whose editor has started (``READY``). Used by the tests and by
``lab.py bench templates``.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "READY",
    "RENDERERS",
    "Rectangle",
    "calm",
    "fit",
    "open_workflow",
    "rectangles",
    "run_workflow",
    "shorten",
    "use_renderer",
]

#: True once the editor has started; until a workflow is active its own start may still replace what is loaded.
READY = (
    "() => window.app?.extensionManager?.workflow?.activeWorkflow"
    " && Object.keys(window.LiteGraph?.registered_node_types ?? {}).length > 100"
)
#: The editor's two renderers: nodes drawn on a canvas, and nodes that are parts of the page.
RENDERERS = ("classic", "vue")
#: x, y, width and height in the workflow's coordinates, title bar included.
Rectangle = tuple[float, float, float, float]

_SETTLED_MS = 1500  # previews and tables grow a moment after the message that brings them


def use_renderer(page: Any, renderer: str) -> None:
    """Have the editor draw the open workflow with one of ``RENDERERS``, as its menu does."""
    page.evaluate("vue => window.app.extensionManager.setting.set('Comfy.VueNodes.Enabled', vue)", renderer == "vue")
    page.wait_for_function("vue => LiteGraph.vueNodesMode === vue", arg=renderer == "vue")
    page.wait_for_timeout(_SETTLED_MS)


def calm(page: Any) -> None:
    """Close what greets a newcomer, draw seldom (it costs a core without a GPU), and let samplers show previews."""
    page.evaluate(
        """async settings => {
            for (const [name, value] of settings) await window.app.extensionManager.setting.set(name, value);
        }""",
        [
            ["Comfy.TutorialCompleted", True],
            ["Comfy.Minimap.Visible", False],
            ["LiteGraph.Canvas.MaximumFps", 5],
            ["Comfy.Execution.PreviewMethod", "latent2rgb"],  # nodes grow when a preview comes
        ],
    )
    page.wait_for_timeout(_SETTLED_MS)
    page.keyboard.press("Escape")


def open_workflow(page: Any, workflow: dict[str, Any]) -> None:
    """Open a workflow and wait until all of its nodes are there."""
    page.evaluate("workflow => window.app.loadGraphData(workflow)", workflow)
    page.wait_for_function("count => window.app.graph.nodes.length === count", arg=len(workflow["nodes"]))
    page.wait_for_timeout(_SETTLED_MS)


def shorten(page: Any, seed: int, steps: int = 3) -> None:
    """Cut the open workflow short: few steps, and a seed of its own, so that nothing comes from the host's cache."""
    page.evaluate(
        """([seed, most]) => {
            for (const widget of window.app.graph.nodes.flatMap(node => node.widgets ?? [])) {
                if (widget.name === "steps") widget.value = Math.min(widget.value, most);
                if (widget.name === "noise_seed") widget.value = seed;
            }
        }""",
        [seed, steps],
    )


def run_workflow(page: Any, timeout: float = 600.0) -> None:
    """Press Run and wait until it is done, everything that it shows included. Raises ``RuntimeError`` if it fails."""
    page.evaluate(
        """() => {
            window.samplerLabEnd = null;
            for (const how of ["execution_success", "execution_error", "execution_interrupted"])
                window.app.api.addEventListener(how, event => { window.samplerLabEnd = [how, event.detail]; });
            window.app.queuePrompt(0);
        }"""
    )
    page.wait_for_function("() => window.samplerLabEnd !== null", timeout=timeout * 1000)
    how, detail = page.evaluate("() => window.samplerLabEnd")
    if how != "execution_success":
        raise RuntimeError(f"{how}: {detail.get('node_type')}: {detail.get('exception_message')}")
    page.wait_for_timeout(_SETTLED_MS)


def fit(page: Any) -> None:
    """Zoom until the whole workflow is on the screen: the page-based renderer makes only what is seen."""
    page.evaluate(
        """() => {
            const { graph, canvas } = window.app;
            const boxes = graph.nodes.map(node => [...node.getBounding(new Float32Array(4))]);
            const [left, top] = [0, 1].map(k => Math.min(...boxes.map(box => box[k])));
            const [right, bottom] = [0, 1].map(k => Math.max(...boxes.map(box => box[k] + box[k + 2])));
            const { width, height } = canvas.canvas.getBoundingClientRect();
            const scale = Math.min((width - 120) / (right - left), (height - 120) / (bottom - top), 1);
            canvas.ds.scale = scale;
            canvas.ds.offset[0] = 70 / scale - left;
            canvas.ds.offset[1] = 70 / scale - top;
            canvas.setDirty(true, true);
        }"""
    )
    page.wait_for_timeout(_SETTLED_MS)


def rectangles(page: Any) -> tuple[dict[str, Rectangle], list[tuple[str, Rectangle]]]:
    """Where the nodes (by id) and the groups (title and place) lie, as the active renderer draws them; ``fit`` first.

    Raises ``RuntimeError`` for a node that is not drawn.
    """
    nodes, groups = page.evaluate(
        """() => {
            const { graph, canvas } = window.app;
            const { scale, offset } = canvas.ds;
            const view = canvas.canvas.getBoundingClientRect();
            const drawn = node => {
                if (!LiteGraph.vueNodesMode) return [...node.getBounding(new Float32Array(4))];
                const box = document.querySelector(`[data-node-id="${node.id}"]`)?.getBoundingClientRect();
                return box && [(box.left - view.left) / scale - offset[0], (box.top - view.top) / scale - offset[1],
                               box.width / scale, box.height / scale];
            };
            return [Object.fromEntries(graph.nodes.map(node => [node.id, drawn(node)])),
                    graph.groups.map(group => [group.title, [...group._bounding]])];
        }"""
    )
    missing = [key for key, box in nodes.items() if box is None]
    if missing:
        raise RuntimeError(f"the editor does not draw the nodes {', '.join(missing)}")
    return {key: tuple(box) for key, box in nodes.items()}, [(title, tuple(box)) for title, box in groups]
