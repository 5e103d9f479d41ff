"""Folders as they are in the world: records cut off, changed by hand or made to break a reader, links in circles.

One bad record never takes the report of the others with it, and is named.
"""

from __future__ import annotations

import copy
import json
import os
import random

import pytest
from recorded_runs import particle, write_experiment, write_run
from sampler_lab.experiments.report import write_report
from sampler_lab.instruments.plots.runs import PLOTS
from sampler_lab.instruments.runs.differences import every_pair, paired
from sampler_lab.instruments.runs.runs import load_runs
from sampler_lab.instruments.runs.tables import coverage, every_image, phases, summary

TABLES = (summary, paired, every_pair, coverage, phases, every_image)
MUTANTS = 400
DEEP: list = []
for _ in range(600):
    DEEP = [DEEP]
#: What a value becomes.
ODD = (
    *(None, True, False, 0, -1, 3, 2**70, 10**400, 1e308, -1e308, 0.5, "", "x", "\ud800", "a|b\nc", "0" * 5000),
    *([], {}, [None], [[]], [1, 2, 3], [True], {"particle": 0}, {"psnr": 1.0}, DEEP),
)


def places(value, path=()):
    """Every place in a record."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def mutated(facts, chance):
    """The text of a record with one to three things wrong."""
    facts = copy.deepcopy(facts)
    for _ in range(chance.randint(1, 3)):
        path = chance.choice([path for path in places(facts) if path])
        holder = facts
        for key in path[:-1]:
            holder = holder[key]
        kind = chance.random()
        if kind < 0.6:
            holder[path[-1]] = chance.choice(ODD)
        elif kind < 0.8:
            del holder[path[-1]]
        elif isinstance(holder, list):
            holder.insert(path[-1], holder[path[-1]])
        else:
            holder[chance.choice(("schema", "quality", "steps", "blind", "odd"))] = holder[path[-1]]
    text = json.dumps(facts).encode()
    if chance.random() < 0.2:  # and what disks and editors do
        at = chance.randrange(len(text))
        text = chance.choice((text[:at], text[:at] + b"\xff" + text[at:], text[:at] + b"\x00" + text[at + 1 :], b""))
    return text


@pytest.fixture
def good(tmp_path):
    """An experiment of two images, and a folder for one more."""
    rows = [particle(1, 9.0, 28.0), particle(3, 12.0, 15.0)]
    write_experiment(tmp_path / "runs", "exp0", {"cat": rows, "dog": rows}, pruned=True)
    return tmp_path / "runs"


def test_mutated_records_are_read_right_or_named(good, tmp_path):
    """Seeded, so that a failure comes again. Whatever is accepted must also go through every table."""
    chance = random.Random(8)
    facts = json.loads(write_run(tmp_path / "model", [particle(1, 9.0, 28.0), particle(3, 12.0, 15.0)]).read_text())
    facts["final"] = {"particles": [1, 3], "residual": [110.0, 111.0], "blind": 1}
    facts["steps"][1]["pruning"] = {"kept": [1, 3], "dropped": [{"particle": 0, "reason": "x"}], "new": []}
    facts["steps"][2]["polish"] = {"particles": [1, 3], "iterations": [4, 0], "accepted": [True, False]}
    facts["steps"][2]["off_decoder"] = {
        "particles": [1, 3],
        "residual_before": [120.0, 121.0],
        "residual": [110.0, 111.0],
    }
    scores = {"misfit": [1.1, 1.2], "prior_error": [0.3, 0.2], "score": [1.19, 1.26]}
    facts["steps"][2]["choice"] = {"particles": [1, 3], **scores}
    place = good / "exp1" / "owl"
    place.mkdir(parents=True)
    accepted = named = 0
    for k in range(MUTANTS):
        (place / "metrics.json").write_bytes(mutated(facts, chance))
        runs = load_runs([good])
        assert {"cat", "dog"} <= {run.image for run in runs.of("exp0")}, f"mutant {k}"
        if any(run.file.parent == place for run in runs.runs):
            accepted += 1
        else:
            named += 1
            assert any("owl" in problem for problem in runs.problems), f"mutant {k}: {runs.problems}"
        for table in TABLES:
            made = table(runs)
            (made.to_markdown() + made.to_csv() + made.to_latex()).encode("utf-8")
        if k % 40 == 0:
            for draw in PLOTS.values():
                draw(runs)
    assert accepted > MUTANTS // 20, "else the tables below were hardly tried"
    assert named > MUTANTS // 2


def test_a_report_names_the_bad_record_and_goes_on(good, tmp_path):
    (good / "exp0" / "dog" / "metrics.json").write_text('{"schema": "sampler-lab/metrics/2", "quality": ' + "[" * 10**5)
    text = write_report([good], tmp_path / "report")[0].read_text(encoding="utf-8")
    assert "1 runs of 1 experiments" in text
    assert "dog/metrics.json: it is nested more than 32 levels deep." in text


def test_folders_and_pipes_that_are_called_metrics_json(good):
    (good / "exp0" / "metrics.json" / "metrics.json").mkdir(parents=True)
    os.mkfifo(good / "exp0" / "cat" / "pipe.json")
    (good / "exp0" / "owl").mkdir()
    os.mkfifo(good / "exp0" / "owl" / "metrics.json")  # opened, it would wait for ever
    (good / "exp0" / "gone").mkdir()
    (good / "exp0" / "gone" / "metrics.json").symlink_to("nowhere")
    assert [run.image for run in load_runs([good]).runs] == ["cat", "dog"]


def test_links_in_a_circle_end_and_linked_results_are_read(good, tmp_path):
    (good / "exp0" / "circle").symlink_to(good)
    (good / "self").symlink_to(good / "self")
    write_experiment(tmp_path / "elsewhere", "exp9", {"owl": [particle(0, 20.0, 25.0)]})
    (good / "linked").symlink_to(tmp_path / "elsewhere")
    runs = load_runs([good])
    assert [(run.experiment, run.image) for run in runs.runs] == [("exp0", "cat"), ("exp0", "dog"), ("exp9", "owl")]
    assert runs.problems == ()


@pytest.mark.parametrize(
    "content",
    ["[]", "{", '{"name": 5}', '{"name": null}', "[" * 10**5, '{"name": "a\\nb|c", "question": {"x": 1}}', "\xff"],
)
def test_a_broken_experiment_json_takes_no_run_with_it(good, content, tmp_path):
    (good / "exp0" / "experiment.json").write_bytes(content.encode("latin-1"))
    runs = load_runs([good])
    assert [run.image for run in runs.runs] == ["cat", "dog"]
    assert all("\n" not in name for name in runs.experiments)
    for table in TABLES:
        table(runs).to_markdown()
    write_report([good], tmp_path / "report")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_named(good):
    (good / "exp0" / "dog").chmod(0)
    try:
        runs = load_runs([good])
    finally:
        (good / "exp0" / "dog").chmod(0o755)
    assert [run.image for run in runs.runs] == ["cat"]
    assert "dog cannot be read: Permission denied." in runs.problems[0]
