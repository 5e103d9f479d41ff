"""Run an experiment: one prompt an image, results on disk as they come, only what is missing when started again.

    RESULTS/exp1/experiment.json             what was asked
    RESULTS/exp1/tiger-face/metrics.json     what became of one image, beside its pictures
    RESULTS/exp1/broken/error.txt            why an image has no result

An image's folder appears whole or not at all, so whatever is there is finished. Several may work on one experiment at
the same time (two halves of it on two machines' servers, or the same command twice): each image is done by one of them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..instruments.metrics_file import load_metrics, row_of, write_json
from ..labkit.client import Client
from ..labkit.console import Console
from ..labkit.errors import LabError
from ..labkit.files import write_whole
from ..labkit.lock import claim
from ..labkit.outcome import Progress, PromptRefused, Result, RunFailed, ServerGone
from ..labkit.workflow import to_api
from ..priors.held_out import glyph_set
from .graph import Picture, Prompt, prompt_of
from .settings import Experiment

__all__ = [
    "Outcome",
    "begin",
    "emoji_pictures",
    "folder_pictures",
    "is_finished",
    "load_template",
    "read_workflow",
    "run_experiment",
]

SCHEMA = "sampler-lab/experiment/1"
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


@dataclass(frozen=True)
class Outcome:
    """Counts of images: finished now, there before, failed, left to another experiment that is at them.

    stopped: why the rest was not tried.
    """

    finished: int
    skipped: int
    failed: int
    stopped: str | None = None
    left: int = 0

    @property
    def complete(self) -> bool:
        return self.failed == 0 and self.left == 0 and self.stopped is None


def emoji_pictures(count: int | None, start: int, role: str = "development", retired: bool = False) -> list[Picture]:
    """Held-out glyphs of a role, one of every class in turn, so that the first N of them are a fair sample.

    retired: also those that are near a training picture. A glyph's number, and so its noise, is the same in every set.
    """
    glyphs = glyph_set(role, retired)
    return _range([Picture(g.name, emoji=g.name, label=g.klass, number=g.number) for g in glyphs], count, start)


def folder_pictures(folder: Path, count: int | None, start: int) -> list[Picture]:
    """The image files of a folder, by name."""
    if not folder.is_dir():
        raise LabError(f"There is no folder {folder}; --images is a folder of pictures, or emoji.")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_ENDINGS)
    if not files:
        raise LabError(f"The folder {folder} holds no picture ({', '.join(IMAGE_ENDINGS)}).")
    names = [_safe(path.stem) for path in files]
    twice = {name for name in names if names.count(name) > 1}
    return _range(
        [
            Picture(_safe(path.name) if name in twice else name, path=path)
            for path, name in zip(files, names, strict=True)
        ],
        count,
        start,
    )


def load_template(path: Path, object_info: dict[str, Any]) -> Prompt:
    """A workflow file, as the editor saves or exports it, as an API graph."""
    graph = read_workflow(path)
    return to_api(graph, object_info) if "nodes" in graph else graph


def read_workflow(path: Path) -> dict[str, Any]:
    """The JSON object in a file; raises ``LabError`` when there is none."""
    try:
        graph = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LabError(f"The workflow {path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise LabError(f"The workflow {path} is not JSON: {error}.") from error
    if not isinstance(graph, dict):
        raise LabError(f"The workflow {path} is not a graph: save it from the editor (Workflow, Save or Export).")
    return graph


def is_finished(folder: Path) -> bool:
    """Whether an image's folder holds the record of a finished run."""
    try:
        metrics = load_metrics(folder / "metrics.json")
    except (OSError, ValueError):
        return False
    return metrics["status"] == "finished" and bool(metrics["quality"])


def run_experiment(
    console: Console,
    client: Client,
    template: Prompt,
    experiment: Experiment,
    pictures: Sequence[Picture],
    results: Path,
    first: int = 0,
) -> Outcome:
    """Run ``experiment`` on every picture that has no result yet.

    Args:
        console: is told how far it is.
        client: of the server.
        template: see :func:`load_template`.
        experiment: what is run.
        pictures: on what.
        results: the folder in which the experiment's own folder lies.
        first: the number of the first picture in its whole set, for pictures that do not know their own; decides its
            noise, so that it does not depend on how the set was split.

    Raises:
        LabError: results of other options are in the way.
        OSError: the disk does not allow it.
    """
    missing = begin(console, experiment, pictures, results, first)
    skipped = len(pictures) - len(missing)
    run = _Run(console, client, template, experiment, results / experiment.name, skipped, len(pictures))
    for number, picture in missing:
        if (stopped := run.do(number, picture)) is not None:
            return Outcome(run.finished, run.skipped, run.failed, stopped, run.left)
    return Outcome(run.finished, run.skipped, run.failed, None, run.left)


def begin(
    console: Console, experiment: Experiment, pictures: Sequence[Picture], results: Path, first: int = 0
) -> list[tuple[int, Picture]]:
    """Write experiment.json; the pictures that have no result yet, with their numbers in the whole set.

    No server is needed for it. Raises as :func:`run_experiment` does.
    """
    home = results / experiment.name
    _ask(home, experiment, pictures)
    numbered = [(first + k if each.number is None else each.number, each) for k, each in enumerate(pictures)]
    missing = [(number, picture) for number, picture in numbered if not is_finished(home / picture.name)]
    if len(missing) < len(pictures):
        console.line(f"  {experiment.name}: {len(pictures) - len(missing)} of {len(pictures)} images are there already")
    return missing


@dataclass
class _Run:
    """An experiment under way: what it has and what has become of its images so far."""

    console: Console
    client: Client
    template: Prompt
    experiment: Experiment
    home: Path
    skipped: int
    total: int
    finished: int = 0
    failed: int = 0
    left: int = 0

    def __post_init__(self) -> None:
        self._began = time.monotonic()
        self._to_do = self.total - self.skipped

    def do(self, number: int, picture: Picture) -> str | None:
        """Run one picture, unless another experiment is at it or has done it; why the rest must wait, if it must."""
        with claim(self.home / f".{picture.name}.lock") as ours:
            if is_finished(self.home / picture.name):
                self.skipped += 1
            elif not ours:
                self.left += 1
                self.console.line(f"  {picture.name}: another experiment is at it")
            else:
                return self._do(number, picture)
        return None

    def _do(self, number: int, picture: Picture) -> str | None:
        place = self.skipped + self.finished + self.failed + self.left
        folder, done = self.home / picture.name, self.finished + self.failed
        title = f"{self.experiment.name}, image {place + 1} of {self.total}: {picture.name}"
        with self.console.step(title) as step:

            def show(progress: Progress) -> None:
                left = _time_left(time.monotonic() - self._began, done, self._to_do)
                step.update(f"{_words(progress)}{left}")

            try:
                uploaded = _upload(self.client, picture)
                prefix = _prefix(self.experiment, picture)
                prompt = prompt_of(self.template, picture, self.experiment.options, prefix, number, uploaded)
                about = {"experiment": self.experiment.name, "picture": picture.name}
                result = self.client.run(prompt, on_progress=show, about=about)
                _keep(self.client, result, folder)
                self.finished += 1
                step.result = _summary(folder)
            except ServerGone as error:
                step.result = "not finished"
                return f"The server is gone: {error}"
            except PromptRefused as error:
                self.failed += 1
                step.result = _fail(folder, str(error))
                if self.finished == 0:  # nothing has ever run: it is the graph, not this image
                    return str(error)
            except (RunFailed, _Unreadable) as error:
                self.failed += 1
                step.result = _fail(folder, str(error))
        return None


class _Unreadable(LabError):
    """An image file that cannot be sent."""


def _range(sources: list[Picture], count: int | None, start: int) -> list[Picture]:
    if not 0 <= start < len(sources):
        raise LabError(f"--start is {start}, but there are {len(sources)} images; the first is number 0.")
    if count is not None and count < 1:
        raise LabError(f"--count is {count}; it must be 1 or more.")
    return sources[start : None if count is None else start + count]


def _ask(home: Path, experiment: Experiment, pictures: Iterable[Picture]) -> None:
    """Write experiment.json, or check that the one that is there asks the same."""
    file = home / "experiment.json"
    asked = {"name": experiment.name, "question": experiment.question, "options": experiment.options.to_dict()}
    names = [picture.name for picture in pictures]
    with claim(home / ".experiment.lock", wait=True):
        if file.is_file():
            try:
                there = json.loads(file.read_text(encoding="utf-8"))
                same = there["options"] == asked["options"]
                names = list(dict.fromkeys([*there["images"], *names]))
            except (ValueError, KeyError, TypeError):
                raise LabError(
                    f"{file} is not readable as an experiment; move it away, or give another --out."
                ) from None
            if not same:
                raise LabError(
                    f"{home} holds results of other options; give another --out, or the experiment a name of your own."
                )
        write_json(file, {"schema": SCHEMA, **asked, "images": names})


def _upload(client: Client, picture: Picture) -> str | None:
    """What the host calls a picture that is a file; None for one that the host has."""
    if picture.path is None:
        return None
    if not picture.path.is_file():
        raise _Unreadable(f"The image {picture.path} is not there any more.")
    try:
        return client.upload_image(picture.path)
    except ServerGone:
        raise
    except LabError as error:
        raise _Unreadable(str(error)) from error


def _keep(client: Client, result: Result, folder: Path) -> None:
    """Fetch the record and the pictures into ``folder``, which appears when all of them are there."""
    # Only whoever has claimed the image is here, so what a killed one left under this name is nobody's.
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        records = [file for file in result.files("SamplerLabCompareToReference") if file["filename"].endswith(".json")]
        if len(records) != 1:
            raise RunFailed("The run left no metrics.json; Compare To Reference must be connected to the run.", {})
        (partial / "metrics.json").write_bytes(client.view(records[0]))
        for name, files in _pictures(result):
            for number, file in enumerate(files):
                suffix = Path(file["filename"]).suffix
                (partial / f"{name}{f'_{number}' if len(files) > 1 else ''}{suffix}").write_bytes(client.view(file))
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _pictures(result: Result) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """What the SaveImage nodes wrote, by the last part of their prefix."""
    for key, node in result.prompt.items():
        if node["class_type"] == "SaveImage" and key in result.outputs:
            files = Result(result.prompt_id, result.prompt, {key: result.outputs[key]}).files()
            yield node["inputs"]["filename_prefix"].rsplit("/", 1)[-1], files


def _fail(folder: Path, sentence: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "error.txt", f"{sentence}\n".encode())
    return f"failed: {sentence}"


def _prefix(experiment: Experiment, picture: Picture) -> str:
    return f"sampler_lab/experiments/{_safe(experiment.name)}/{picture.name}"


def _safe(name: str) -> str:
    """A name that is a folder on every system."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "image"


def _summary(folder: Path) -> str:
    metrics = load_metrics(folder / "metrics.json")
    table = metrics["quality"][0]
    blind = row_of(table, "blind")["aligned"]["psnr"]
    return f"{'not finite' if blind is None else f'{blind:.1f} dB'} blind, aligned"


def _words(progress: Progress) -> str:
    if progress.maximum > 1:
        return f"step {progress.value} of {progress.maximum}"
    return progress.node_type or "working"


def _time_left(seconds: float, done: int, total: int) -> str:
    if done == 0:
        return ""
    left = seconds / done * total - seconds
    return f", about {left / 60:.0f} min left" if left >= 90 else f", about {max(0, left):.0f} s left"
