"""Run an experiment: one run per image, results on disk as they come, only what is missing when started again.

Several may work on one experiment at the same time (two halves of it on two machines' servers, or the same command
twice): each image is done by one of them. ``results.py`` says what lies where.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..labkit.console import Console
from ..labkit.lock import claim
from ..labkit.outcome import PromptRefused, RunFailed, ServerGone
from .executors import Executor, Job, Unreadable
from .experiment import Experiment
from .pictures import Picture, safe_name
from .results import check_question, image_folder, is_finished, note_failure, summary_of, write_question

__all__ = ["Outcome", "home_of", "jobs_left", "run_experiment"]


@dataclass
class Outcome:
    """Counts of images: finished now, there before, failed, left to another experiment that is at them.

    stopped: why the rest was not tried.
    """

    finished: int = 0
    skipped: int = 0
    failed: int = 0
    stopped: str | None = None
    left: int = 0

    @property
    def complete(self) -> bool:
        """Whether every image is there."""
        return self.failed == 0 and self.left == 0 and self.stopped is None

    @property
    def seen(self) -> int:
        """How many images have had their turn."""
        return self.finished + self.skipped + self.failed + self.left


def home_of(experiment: Experiment, results: Path) -> Path:
    """The folder of an experiment among the results."""
    return results / safe_name(experiment.name)


def run_experiment(
    console: Console,
    executor: Executor,
    experiment: Experiment,
    pictures: Sequence[Picture],
    results: Path,
    first: int = 0,
) -> Outcome:
    """Run ``experiment`` on every picture that has no result yet.

    Args:
        console: is told how far it is.
        executor: where the runs take place.
        experiment: what is run; a single one, no grid.
        pictures: on what.
        results: the folder in which the experiment's own folder lies.
        first: the number of the first picture in its whole set, for pictures that do not know their own; decides its
            noise, so that it does not depend on how the set was split.

    Raises:
        LabError: results of other options are in the way.
        ValueError: options that the executor cannot run.
        OSError: the disk does not allow it.
    """
    executor.check(experiment)
    write_question(home_of(experiment, results), experiment, [picture.name for picture in pictures])
    missing = jobs_left(experiment, pictures, results, first)
    if len(missing) < len(pictures):
        console.line(f"  {experiment.name}: {len(pictures) - len(missing)} of {len(pictures)} images are there already")
    run = _Run(console, executor, home_of(experiment, results), len(pictures), len(missing))
    run.outcome.skipped = len(pictures) - len(missing)
    for job in missing:
        run.do(job)
        if run.outcome.stopped is not None:
            break
    return run.outcome


def jobs_left(experiment: Experiment, pictures: Sequence[Picture], results: Path, first: int = 0) -> list[Job]:
    """The jobs of the pictures that have no result yet; nothing is written, and no server is needed.

    Raises:
        LabError: results of other options are in the way.
    """
    home = home_of(experiment, results)
    check_question(home, experiment)
    jobs = [Job(experiment, each, first + k if each.number is None else each.number) for k, each in enumerate(pictures)]
    return [job for job in jobs if not is_finished(home / job.picture.name)]


@dataclass
class _Run:
    """An experiment under way: what it has and what has become of its images so far."""

    console: Console
    executor: Executor
    home: Path
    total: int
    to_do: int
    outcome: Outcome = field(default_factory=Outcome)
    began: float = field(default_factory=time.monotonic)

    def do(self, job: Job) -> None:
        """Run one picture, unless another experiment is at it or has done it."""
        name = job.picture.name
        with claim(self.home / f".{name}.lock") as ours:
            if is_finished(self.home / name):
                self.outcome.skipped += 1
            elif not ours:
                self.outcome.left += 1
                self.console.line(f"  {name}: another experiment is at it")
            else:
                self._do(job)

    def _do(self, job: Job) -> None:
        now, folder = self.outcome, self.home / job.picture.name
        done = now.finished + now.failed
        title = f"{job.experiment.name}, image {now.seen + 1} of {self.total}: {job.picture.name}"
        with self.console.step(title) as step:

            def show(words: str) -> None:
                step.update(f"{words}{_time_left(time.monotonic() - self.began, done, self.to_do)}")

            try:
                with image_folder(folder) as partial:
                    self.executor.execute(job, partial, show)
                now.finished += 1
                step.result = summary_of(folder)
            except ServerGone as error:
                step.result = "not finished"
                now.stopped = f"The server is gone: {error}"
            except (PromptRefused, RunFailed, Unreadable) as error:
                now.failed += 1
                step.result = note_failure(folder, str(error))
                if isinstance(error, PromptRefused) and now.finished == 0:
                    now.stopped = str(error)  # nothing has ever run: it is the graph, not this image


def _time_left(seconds: float, done: int, total: int) -> str:
    if done == 0:
        return ""
    left = seconds / done * total - seconds
    return f", about {left / 60:.0f} min left" if left >= 90 else f", about {max(0, left):.0f} s left"
