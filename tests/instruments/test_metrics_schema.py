"""Records of this schema and of the one before, and files that were never meant to be read."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from recorded_runs import particle, quality, write_run
from sampler_lab.diffusion.fingerprint import tensor_sha256
from sampler_lab.instruments import metrics_file
from sampler_lab.instruments.metrics_file import SCHEMA, check_metrics, load_metrics, read_json, row_of
from sampler_lab.instruments.record import RunRecord
from sampler_lab.operators import PhaseRetrieval

#: Written by release 0.1.0: particles 2 and 3 of four are left, and "blind": 0 means particle 2.
OLD = Path(__file__).parent / "records" / "schema_1_pruned.json"


#: What the moves after the last step report; a number that is not finite is null.
OFF_DECODER = {"particles": [1, 3], "residual_before": [9.5, None], "residual": [9.0, None]}
CHOICE = {"particles": [1, 3], "misfit": [1.1, None], "prior_error": [0.4, None], "score": [1.2, None]}


def old():
    return json.loads(OLD.read_text(encoding="utf-8"))


def new(tmp_path):
    return json.loads(write_run(tmp_path / "run", [particle(1, 9.0, 28.0), particle(3, 12.0, 15.0)]).read_text())


def test_places_of_schema_1_become_names():
    before = old()["quality"][0]
    assert (before["blind"], [row["particle"] for row in before["particles"]]) == (0, [2, 3])
    metrics = load_metrics(OLD)
    table = metrics["quality"][0]
    assert metrics["schema"] == SCHEMA == "sampler-lab/metrics/2"
    assert [table[key] for key in ("blind", "oracle", "oracle_raw")] == [2, 2, 2]
    assert row_of(table, "blind") == before["particles"][0]
    assert [metrics[key] for key in ("model", "experiment", "picture", "final")] == [None] * 4
    assert {key: metrics[key] for key in ("steps", "calls", "options", "sigmas")} == {
        key: old()[key] for key in ("steps", "calls", "options", "sigmas")
    }


@pytest.mark.parametrize("place", [-1, 2, True, None, "0", 0.5])
def test_a_place_that_is_none_is_refused(place):
    metrics = old()
    metrics["quality"][0]["blind"] = place
    with pytest.raises(ValueError, match=r"quality\[0\]\.blind is .*; it must be a place in the list of 2 particles"):
        check_metrics(metrics)


def test_a_choice_must_be_a_particle_of_the_table(tmp_path):
    metrics = new(tmp_path)
    assert metrics["quality"][0]["blind"] == 1
    metrics["quality"][0]["blind"] = 0
    with pytest.raises(ValueError, match=r"quality\[0\]\.blind is 0, which is none of the table's particles \(1, 3\)"):
        check_metrics(metrics)


def edited(metrics, keys, value):
    *parents, last = keys
    place = metrics = copy.deepcopy(metrics)
    for key in parents:
        place = place[key]
    if value is KeyError:
        del place[last]
    else:
        place[last] = value
    return metrics


@pytest.mark.parametrize(
    ("keys", "value", "sentence"),
    [
        (["quality", 0, "particles"], [], r"quality\[0\]\.particles is empty"),
        (["quality", 0, "particles", 1, "particle"], 1, "holds the same particle twice"),
        (["quality", 0, "particles", 0, "aligned"], KeyError, r"particles\[0\]\.aligned is missing"),
        (
            ["quality", 0, "particles", 0, "aligned", "psnr"],
            "26",
            r'aligned\.psnr is "26"; it must be a number or null',
        ),
        (["quality", 0, "particles", 1, "success"], 1, "success is 1; it must be true or false"),
        (["quality", 0, "blind_by"], "luck", r'blind_by is "luck"; it must be residual or run'),
        (["quality", 0, "flat_psnr"], KeyError, r"quality\[0\]\.flat_psnr is missing"),
        (["steps", 0, "residual"], [1.0], r"steps\[0\]\.residual holds 1 values, but steps\[0\]\.particles holds 4"),
        (["steps", 0, "residual"], 1.0, r"steps\[0\]\.residual is 1\.0; it must be a list"),
        (["steps", 0, "residual", 0], -1.0, r"residual\[0\] is -1\.0; it must be a number, 0 or more or null"),
        (["steps", 0, "step"], -1, r"steps\[0\]\.step is -1; it must be a whole number, 0 or more"),
        (["steps", 0, "pruning"], {"kept": []}, r"pruning\.dropped is missing"),
        (["steps", 0, "polish"], {"particles": [0], "accepted": [1]}, r"accepted\[0\] is 1; it must be true or false"),
        (["steps", 0, "polish"], {"particles": [0], "iterations": []}, "iterations holds 0 values"),
        (
            ["steps", 0, "off_decoder"],
            {"particles": [0], "residual": [1.0]},
            r"off_decoder\.residual_before is missing",
        ),
        (["steps", 0, "off_decoder"], {**OFF_DECODER, "residual": [1.0]}, "off_decoder.residual holds 1 values"),
        (["steps", 0, "off_decoder"], {**OFF_DECODER, "residual": [1.0, -1.0]}, r"off_decoder\.residual\[1\] is -1\.0"),
        (["steps", 0, "choice"], [], r"choice is \[\]; it must be an object"),
        (
            ["steps", 0, "choice"],
            {**CHOICE, "score": [1.0]},
            r"choice\.score holds 1 values, but steps\[0\]\.choice\.part",
        ),
        (
            ["steps", 0, "choice"],
            {**CHOICE, "prior_error": ["x", 1.0]},
            r'prior_error\[0\] is "x"; it must be a number',
        ),
        (["calls", "denoiser"], -1, "calls.denoiser is -1; it must be a whole number, 0 or more"),
        (["measurement", "noise_floor"], "hello", r'noise_floor is "hello"; it must be a number'),
        (["final"], {"particles": [1, 3], "residual": [1.0, None], "blind": 2}, r"final\.blind is 2, which is none"),
        (["final"], {"particles": [1], "residual": [], "blind": 1}, r"final\.residual holds 0 values"),
        (["experiment"], 5, "experiment is 5; it must be a text or null"),
    ],
)
def test_what_readers_rely_on_is_checked(tmp_path, keys, value, sentence):
    metrics = new(tmp_path)
    check_metrics(metrics)
    with pytest.raises(ValueError, match=sentence):
        check_metrics(edited(metrics, keys, value))


def test_facts_of_the_moves_are_in_order(tmp_path):
    """Those after the last step, and pruning after more than one."""
    metrics = new(tmp_path)
    metrics["steps"][-1] |= {"off_decoder": OFF_DECODER, "choice": CHOICE}
    for row, kept, dropped in ((metrics["steps"][0], [1, 2, 3], 0), (metrics["steps"][1], [1, 3], 2)):
        row["pruning"] = {"kept": kept, "dropped": [{"particle": dropped, "reason": "larger residual"}], "new": []}
    check_metrics(metrics)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[" * 100_000, "nested more than 32 levels deep"),
        ('{"schema": ' + "[" * 200 + "]" * 200 + "}", "nested more than 32 levels deep"),
        ('{"seed": 1e999}', "1e999, which is too large for a computer's number"),
        ('{"seed": ' + "9" * 5000 + "}", "larger than any that is recorded"),
        ('{"seed": 18446744073709551617}', "larger than any that is recorded"),
        (r'{"device": "\ud800"}', "half a character"),
    ],
)
def test_a_file_made_to_break_the_reader_is_a_sentence_that_names_it(tmp_path, content, sentence):
    file = tmp_path / "evil.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=sentence) as error:
        read_json(file)
    assert "evil.json" in str(error.value)


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(metrics_file, "LARGEST_FILE", 1000)
    file = tmp_path / "large.json"
    file.write_text(" " * 1001)
    with pytest.raises(ValueError, match=r"large\.json holds 0 MB; a record holds at most"):
        load_metrics(file)


def test_a_record_says_what_it_is_of(tmp_path):
    record = RunRecord(tmp_path / "metrics.json")
    truth = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    measurement = PhaseRetrieval().measure(truth, seed=1)
    record.begin({}, 0, [1.0, 0.0], measurement=measurement.describe())
    record.note(model="Emoji", experiment="exp0", picture="cat")
    record.quality({**quality([particle(0, 20.0, 21.0)]), "reference_sha256": tensor_sha256(truth)})
    record.finish()
    metrics = load_metrics(tmp_path / "metrics.json")
    assert (metrics["model"], metrics["experiment"], metrics["picture"]) == ("Emoji", "exp0", "cat")
    assert metrics["measurement"]["values"] == measurement.count
    again, other = (PhaseRetrieval().measure(truth, seed=seed) for seed in (1, 2))
    assert metrics["measurement"]["sha256"] == again.describe()["sha256"]
    assert metrics["measurement"]["sha256"] != other.describe()["sha256"]
    assert metrics["quality"][0]["reference_sha256"] == tensor_sha256(truth.double())
    assert tensor_sha256(truth) != tensor_sha256(truth.reshape(1, 3, 8, 32)), "the same values in another shape"
    assert tensor_sha256(truth, None) != tensor_sha256(truth)


def test_the_final_residuals_name_the_blind_choice():
    record = RunRecord()
    record.begin({}, 0, [1.0, 0.0], particles=4)
    assert record.final_residual is None
    record.final([1, 3], torch.tensor([float("nan"), 2.0]))
    assert record.to_dict()["final"] == {"particles": [1, 3], "residual": [None, 2.0], "blind": 3}
    assert record.survivors == [1, 3]
    assert record.final_residual[3] == 2.0
    assert record.chosen is None, "the residuals chose"
    record.final([0], torch.tensor([float("inf")]))
    assert record.to_dict()["final"]["blind"] is None
    record.final([3, 1], torch.tensor([2.0, 1.0]), 3)
    assert record.to_dict()["final"] == {"particles": [3, 1], "residual": [2.0, 1.0], "blind": 3}
    assert (record.chosen, record.survivors) == (3, [3, 1])
