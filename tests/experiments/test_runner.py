"""The runner with a Python function as its executor: what is kept, what is tried again, what is refused first."""

from __future__ import annotations

import io
import json

import pytest
from recorded_runs import particle, write_run
from sampler_lab.experiments.executors import InProcess, Unreadable
from sampler_lab.experiments.experiment import Experiment
from sampler_lab.experiments.pictures import Picture
from sampler_lab.experiments.results import is_finished
from sampler_lab.experiments.runner import run_experiment
from sampler_lab.instruments.runs.runs import load_runs
from sampler_lab.labkit.console import Console
from sampler_lab.labkit.errors import LabError

PICTURES = [Picture("cat", number=7), Picture("dog"), Picture("owl")]
MINE = Experiment("mine", "?", {"Pruning.keep": 2})


class Solver:
    """Writes a record for each job, and fails as it is told."""

    def __init__(self, fails: dict[str, BaseException] | None = None):
        self.fails, self.jobs = fails or {}, []

    def __call__(self, job, folder):
        self.jobs.append((job.picture.name, job.number))
        write_run(folder, [particle(0, 20.0, 25.0)], image=job.picture.name)
        if job.picture.name in self.fails:
            raise self.fails[job.picture.name]


def go(solver, results, experiment=MINE, first=0):
    said = io.StringIO()
    return run_experiment(Console(said), InProcess(solver), experiment, PICTURES, results, first), said.getvalue()


def test_every_picture_is_done_once_with_its_own_number(tmp_path):
    solver = Solver()
    outcome, said = go(solver, tmp_path, first=10)
    assert (outcome.finished, outcome.complete) == (3, True)
    assert solver.jobs == [("cat", 7), ("dog", 11), ("owl", 12)]
    assert said.count("25.0 dB blind, aligned") == 3
    again, said = go(solver, tmp_path)
    assert (again.skipped, len(solver.jobs)) == (3, 3)
    assert "3 of 3 images are there already" in said
    assert {run.image for run in load_runs([tmp_path / "mine"]).of("mine")} == {"cat", "dog", "owl"}


def test_a_picture_that_fails_leaves_a_note_and_is_tried_again(tmp_path):
    solver = Solver({"dog": Unreadable("The dog has run away.")})
    outcome, _ = go(solver, tmp_path)
    assert (outcome.finished, outcome.failed, outcome.complete) == (2, 1, False)
    home = tmp_path / "mine"
    assert (home / "dog" / "error.txt").read_text() == "The dog has run away.\n"
    assert not is_finished(home / "dog"), "its record was half an image"
    solver.fails.clear()
    outcome, _ = go(solver, tmp_path)
    assert (outcome.finished, outcome.skipped) == (1, 2)
    assert sorted(path.name for path in (home / "dog").iterdir()) == ["metrics.json"]


def test_what_ends_the_function_ends_the_experiment_and_leaves_no_half_image(tmp_path):
    solver = Solver({"dog": KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        go(solver, tmp_path)
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["cat", "experiment.json"]


def test_other_options_are_refused_before_anything_is_done(tmp_path):
    go(Solver(), tmp_path)
    solver = Solver()
    with pytest.raises(LabError, match="holds results of other options"):
        go(solver, tmp_path, Experiment("mine", "?", {"Pruning.keep": 3}))
    assert solver.jobs == []
    assert json.loads((tmp_path / "mine" / "experiment.json").read_text())["options"] == {"Pruning.keep": 2}
