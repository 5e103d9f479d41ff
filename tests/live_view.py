"""What browser tests know about the live view of a run: how to start one, what the page shows, what it must show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sampler_lab.instruments.record import load_metrics

__all__ = ["LAST_PROMPT", "VIEW", "assert_same_numbers", "load", "record_named", "run", "seen", "settled", "start"]

VIEW = ".sampler-lab-run"
#: The prompt that the page has heard of last.
LAST_PROMPT = "() => window.runs.at(-1).prompt_id"


def load(page: Any, workflow: dict) -> None:
    """Open ``workflow``."""
    page.evaluate("workflow => window.app.loadGraphData(workflow)", workflow)
    page.wait_for_function("count => window.app.graph.nodes.length === count", arg=len(workflow["nodes"]))


def start(page: Any) -> None:
    """Press Run, with ears for what the host says about its runs."""
    page.evaluate(
        """() => {
            window.runs = [];
            window.runEnd = null;
            const { api } = window.app;
            api.addEventListener("sampler_lab.run", event => window.runs.push(event.detail));
            for (const how of ["execution_success", "execution_error", "execution_interrupted"])
                api.addEventListener(how, event => { window.runEnd = [how, event.detail]; });
            window.app.queuePrompt(0);
        }"""
    )


def run(page: Any) -> None:
    """Press Run and wait for the end."""
    start(page)
    page.wait_for_function("() => window.runEnd !== null", timeout=300_000)
    how, detail = page.evaluate("() => window.runEnd")
    assert how == "execution_success", detail


def seen(page: Any, status: str = "finished") -> list[dict]:
    """What every live view in the page says, once there is one with this status."""
    page.wait_for_selector(f'{VIEW}[data-status="{status}"]', state="attached")
    return page.evaluate(
        """selector => [...document.querySelectorAll(selector)].map(view => ({
            ...view.dataset,
            label: view.getAttribute("aria-label"),
            text: [...view.querySelectorAll("*")].filter(part => !part.children.length).map(
                part => part.textContent).join(" "),
            shownPhases: [...view.querySelectorAll(".phase")].map(phase => phase.dataset.phase),
            thumbs: [...view.querySelectorAll("figure")].map(figure => ({
                ...figure.dataset, text: figure.textContent, loaded: figure.querySelector("img").naturalWidth })),
            lines: Object.fromEntries([...view.querySelectorAll("path.particle")].map(
                path => [path.dataset.particle, JSON.parse(path.dataset.points)])),
            distances: JSON.parse(view.querySelector("path.distance").dataset.points),
            floor: view.querySelector("line.floor")?.dataset.noiseFloor,
            prunes: [...view.querySelectorAll("line.prune")].map(line => Number(line.dataset.step)),
        }))""",
        VIEW,
    )


def settled(page: Any, node_type: str) -> None:
    """Wait until the view has been laid out: the node's height is the same in two looks."""
    height = "type => window.app.graph.nodes.find(node => node.type === type).size[1]"
    before = None
    while before != (before := page.evaluate(height, node_type)):
        page.wait_for_timeout(300)


def record_named(server: Any, name: str) -> dict:
    """The record that a view names."""
    return load_metrics(Path(server.base) / "output" / name)


def assert_same_numbers(view: dict, facts: dict) -> None:
    """What the page shows is what the file says, to the last bit."""
    lines: dict[str, list[dict]] = {}
    for row in facts["steps"]:
        moved = _residuals(row.get("polish")) | _residuals(row.get("off_decoder"))
        for name, residual in _residuals(row).items():
            point = {"step": row["step"], "chain": residual, "residual": moved.get(name, residual)}
            lines.setdefault(name, []).append(point)
    assert view["lines"] == lines
    last = {name: points[-1]["residual"] for name, points in lines.items()} | _residuals(facts["final"])
    assert {thumb["particle"]: float(thumb["residual"]) for thumb in view["thumbs"]} == last
    assert view["distances"] == [{"step": row["step"], "distance": row["pairwise_distance"]} for row in facts["steps"]]
    assert float(view["noiseFloor"]) == float(view["floor"]) == facts["measurement"]["noise_floor"]
    assert view["phases"].split() == _in_order(phase["name"] for phase in facts["phases"])
    best = _best(facts, last)
    assert view["blind"] == best
    assert [thumb["particle"] for thumb in view["thumbs"] if thumb["blind"] == "true"] == [best]
    star = "\N{BLACK STAR}"
    assert [thumb["particle"] for thumb in view["thumbs"] if star in thumb["text"]] == [best]


def _residuals(state: dict | None) -> dict[str, float | None]:
    """By name."""
    return {} if state is None else dict(zip(map(str, state["particles"]), state["residual"], strict=True))


def _in_order(phases: Any) -> list[str]:
    order = ("explore", "prune", "refine", "fit", "polish", "off_decoder", "choose")
    return sorted(phases, key=order.index)


def _best(facts: dict, residuals: dict) -> str:
    """Who must bear the star: the smallest score, or, of a run that did not come to choosing, the smallest residual."""
    row = facts["steps"][-1]
    left = row.get("pruning", {}).get("kept") or row["particles"]
    choice = row.get("choice")
    by = residuals if choice is None else dict(zip(map(str, choice["particles"]), choice["score"], strict=True))
    best = min(map(str, left), key=by.__getitem__)
    assert facts["final"] is None or str(facts["final"]["blind"]) == best
    return best
