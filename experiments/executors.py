"""Executors: where a run of an experiment takes place. Each fills the folder of one image, and knows nothing of others.

The prompt queue of a ComfyUI is the one that people get. A Python function in this process stands beside it for what
is no graph, such as a classical method that a benchmark compares with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..labkit.client import Client
from ..labkit.errors import LabError
from ..labkit.outcome import Progress, Result, RunFailed, ServerGone
from .experiment import Experiment
from .graph import Template, prompt_of
from .pictures import Picture, safe_name

__all__ = ["Executor", "InProcess", "Job", "PromptQueue", "Unreadable"]


@dataclass(frozen=True)
class Job:
    """One image of one experiment. number: what is added to the seed of its measurement's noise."""

    experiment: Experiment
    picture: Picture
    number: int


class Executor(Protocol):
    """What the runner asks of a place where runs happen."""

    def check(self, experiment: Experiment) -> None:
        """Raise ``ValueError`` for options that cannot be run here, before anything is."""
        ...

    def execute(self, job: Job, folder: Path, show: Callable[[str], None]) -> None:
        """Run ``job`` and leave metrics.json and its pictures in ``folder``; ``show`` is told how far it is.

        Raises:
            RunFailed, Unreadable: this image has no result, others may.
            PromptRefused: the same, and where nothing has run yet, no other image will do better.
            ServerGone: nothing can be run any more.
        """
        ...


class Unreadable(LabError):
    """An image file that cannot be sent."""


@dataclass(frozen=True)
class PromptQueue:
    """The prompt queue of a running ComfyUI, with a workflow as the template of every graph."""

    client: Client
    template: Template

    def check(self, experiment: Experiment) -> None:
        """Make a graph of it that is not queued; the workflow and what the host says of its nodes decide."""
        prompt_of(self.template, Picture("none"), experiment.options, "none")

    def execute(self, job: Job, folder: Path, show: Callable[[str], None]) -> None:
        """Queue the graph, wait, and fetch what it wrote."""
        uploaded = self._upload(job.picture)
        prefix = f"sampler_lab/experiments/{safe_name(job.experiment.name)}/{job.picture.name}"
        prompt = prompt_of(self.template, job.picture, job.experiment.options, prefix, job.number, uploaded)
        about = {"experiment": job.experiment.name, "picture": job.picture.name}
        self._fetch(self.client.run(prompt, on_progress=lambda now: show(_words(now)), about=about), folder)

    def _upload(self, picture: Picture) -> str | None:
        """What the host calls a picture that is a file; None for one that the host has."""
        if picture.path is None:
            return None
        if not picture.path.is_file():
            raise Unreadable(f"The image {picture.path} is not there any more.")
        try:
            return self.client.upload_image(picture.path)
        except ServerGone:
            raise
        except LabError as error:
            raise Unreadable(str(error)) from error

    def _fetch(self, result: Result, folder: Path) -> None:
        records = [file for file in result.files("SamplerLabCompareToReference") if file["filename"].endswith(".json")]
        if len(records) != 1:
            raise RunFailed("The run left no metrics.json; Compare To Reference must be connected to the run.", {})
        (folder / "metrics.json").write_bytes(self.client.view(records[0]))
        for name, files in _pictures(result):
            for number, file in enumerate(files):
                suffix = Path(file["filename"]).suffix
                path = folder / f"{name}{f'_{number}' if len(files) > 1 else ''}{suffix}"
                path.write_bytes(self.client.view(file))


@dataclass(frozen=True)
class InProcess:
    """A Python function in this process: it is given the job and the folder, in which it leaves metrics.json."""

    solve: Callable[[Job, Path], None]

    def check(self, experiment: Experiment) -> None:
        """The function checks what it is given."""

    def execute(self, job: Job, folder: Path, show: Callable[[str], None]) -> None:
        """Call the function; what it raises ends the experiment."""
        show("working")
        self.solve(job, folder)


def _pictures(result: Result) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """What the SaveImage nodes wrote, by the last part of their prefix."""
    for key, node in result.prompt.items():
        if node["class_type"] == "SaveImage" and key in result.outputs:
            files = Result(result.prompt_id, result.prompt, {key: result.outputs[key]}).files()
            yield node["inputs"]["filename_prefix"].rsplit("/", 1)[-1], files


def _words(progress: Progress) -> str:
    if progress.maximum > 1:
        return f"step {progress.value} of {progress.maximum}"
    return progress.node_type or "working"
