"""``lab.py demo``: the shipped template, run on a picture through the prompt queue of a real ComfyUI.

Nothing here knows the graph; what matters is found by the types of its nodes, so the template can change.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import places
from .client import Client
from .console import Console
from .errors import LabError
from .files import whole_file, write_whole
from .outcome import Progress, Prompt, Result
from .programs import how_it_ended
from .server import Server
from .tables import quality_lines
from .tether import tethered
from .workflow import to_api

__all__ = ["run_demo", "with_picture"]

#: The node whose picture ``--image`` replaces; the node that names the emoji's class, and the name of no class.
_PICTURE, _PROMPT, _NO_CLASS = "SamplerLabEmojiPicture", "SamplerLabEmojiPrompt", "none"
_METRICS_SCHEMA = "sampler-lab/metrics/"


def run_demo(
    console: Console,
    server: Server,
    python: Path,
    output: Path,
    image: Path | None = None,
    template: Path = places.MAIN_TEMPLATE,
) -> None:
    """Run the template on ``server``, whose pictures go to ``output``; plot, print the table and where it all is.

    Raises ``LabError``: the host refuses or fails the graph, or the run leaves no record.
    """
    client = Client(server.url)
    try:
        workflow = json.loads(template.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise LabError(f"The template {error.filename} is not there: the checkout is incomplete.") from error
    prompt = to_api(workflow, client.object_info())
    if image is not None:
        with console.step(f"Picture {image.name}") as step:
            prompt = with_picture(prompt, client.upload_image(image))
            step.result = "uploaded"
            workflow = None  # the saved pictures shall not claim to come from the template as it is
    with console.step("Reconstruction") as step:
        result = client.run(prompt, workflow, on_progress=lambda progress: step.update(_words(progress)))
        step.result = "finished"
    with console.step("Results") as step:
        _fetch_previews(client, result, output)
        records = _collect_records(output)
        for record in records:
            _plot(python, record, _overview(result, output) if len(records) == 1 else [])
        step.result = "plotted"
    for record in records:
        _report(console, record)
    _tell(console, result)
    console.line()
    for path in sorted(path for path in output.rglob("*") if path.is_file()):
        console.line(f"  {_short(path)}")


def with_picture(prompt: Prompt, name: str) -> Prompt:
    """The graph with the uploaded picture ``name`` in place of the emoji; the template scales it to the prior's size.

    The emoji's class would be a lie about another picture, so prompts become unconditional.
    Raises ``LabError`` for a graph without an emoji picture to replace.
    """
    if not any(node["class_type"] == _PICTURE for node in prompt.values()):
        raise LabError(f"The template has no {_PICTURE} node whose picture --image could replace.")
    changed = {}
    for key, node in prompt.items():
        if node["class_type"] == _PICTURE:
            node = {"class_type": "LoadImage", "inputs": {"image": name}}
        elif node["class_type"] == _PROMPT:
            node = {
                **node,
                "inputs": {
                    key: _NO_CLASS if isinstance(value, str) else value for key, value in node["inputs"].items()
                },
            }
        changed[key] = node
    return changed


def _words(progress: Progress) -> str:
    if progress.maximum > 1:
        return f"step {progress.value} of {progress.maximum}"
    return progress.node_type or "working"


def _fetch_previews(client: Client, result: Result, output: Path) -> None:
    """Copy what nodes only showed (previews lie in the host's temporary folder) to the saved pictures."""
    for kind in sorted({node["class_type"] for node in result.prompt.values()}):
        previews = [file for file in result.files(kind) if file["type"] == "temp"]
        for number, file in enumerate(previews, start=1):
            name = f"{kind.removeprefix('SamplerLab')}_{number:02}{Path(file['filename']).suffix}"
            write_whole(output / name, client.view(file))


def _collect_records(output: Path) -> list[Path]:
    """The run's records, moved to ``metrics.json`` (``metrics-2.json`` … when the graph samples more than once)."""
    found = sorted(path for path in output.rglob("*.json") if _is_record(path))
    if not found:
        raise LabError("The run left no metrics.json: its template has no node that records a run.")
    moved = []
    for number, path in enumerate(found, start=1):
        target = output / ("metrics.json" if number == 1 else f"metrics-{number}.json")
        os.replace(path, target)
        moved.append(target)
        folder = path.parent
        while folder != output and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent
    return moved


def _is_record(path: Path) -> bool:
    try:
        return str(json.loads(path.read_text(encoding="utf-8")).get("schema", "")).startswith(_METRICS_SCHEMA)
    except (ValueError, AttributeError):
        return False


def _overview(result: Result, output: Path) -> list[Path]:
    """The files of one row of pictures: what was measured, the measurement, the particles; [] if one is missing."""
    shown = [sorted(output.glob(f"{kind}_*")) for kind in ("PreviewImage", "PreviewMeasurement")]
    saved = [Result(result.prompt_id, result.prompt, {"": files}).files() for files in result.of("SaveImage")]
    particles = [output / file["subfolder"] / file["filename"] for file in max(saved, key=len, default=[])]
    whole = [len(files) for files in shown] == [1, 1] and all(file.is_file() for file in particles)
    return [*shown[0], *shown[1], *particles] if whole else []


def _plot(python: Path, record: Path, overview: list[Path]) -> None:
    """Draw the record with the lab's own Python, which has matplotlib; a picture is there whole or not at all."""
    script = Path(__file__).with_name("plots.py")
    with contextlib.ExitStack() as pictures:
        residuals = record.with_name(record.name.replace("metrics", "residuals").replace(".json", ".png"))
        command = [str(script), str(record), str(pictures.enter_context(whole_file(residuals)))]
        if overview:
            row = pictures.enter_context(whole_file(record.with_name("overview.png")))
            command += [str(row), *map(str, overview)]
        with tethered(
            str(python), command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
        ) as drawing:
            said = drawing.stderr.read().strip().splitlines()
        if drawing.returncode < 0:
            raise LabError(how_it_ended("The program that draws the plots", drawing.pid, drawing.returncode))
        if drawing.returncode != 0:
            raise LabError(
                f"The plot of {record} cannot be drawn ({said[-1] if said else 'no reason was given'}); the run's "
                "record and pictures are there."
            )


def _report(console: Console, record: Path) -> None:
    console.line()
    for line in _lines(json.loads(record.read_text(encoding="utf-8"))):
        console.line(line)


def _tell(console: Console, result: Result) -> None:
    """What the nodes had to say, which the editor would show on them."""
    for notice in result.notices:
        node = result.prompt.get(str(notice["node"]), {})
        title = node.get("_meta", {}).get("title") or node.get("class_type") or "a node"
        console.line()
        console.line(f"{'Warning' if notice['severity'] == 'warn' else 'Note'} ({title}): {notice['text']}")


def _lines(metrics: dict[str, Any]) -> Iterator[str]:
    steps, calls = len(metrics["sigmas"] or [0]) - 1, metrics["calls"]
    yield (
        f"{metrics['particles']} particles, {steps} steps, {metrics['wall_seconds']:.0f} s on {metrics['device']}, "
        f"{calls['denoiser']} denoiser and {calls['decoder_forward']} decoder calls"
    )
    for quality in metrics.get("quality", []):
        yield ""
        yield from quality_lines(quality)


def _short(path: Path) -> str:
    return str(path.relative_to(places.ROOT)) if path.is_relative_to(places.ROOT) else str(path)
