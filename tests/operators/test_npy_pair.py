"""Values in a .npy and settings in the .json beside it: replaced as a pair, or recognised as none."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from operator_problems import picture
from sampler_lab.operators import GaussianNoise, PhaseRetrieval
from sampler_lab.operators.files import load_measurement, save_measurement

OLD = PhaseRetrieval().measure(picture(1, 8, 8), 1)
NEW = PhaseRetrieval(noise=GaussianNoise(0.1)).measure(picture(1, 16, 16), 2)


def same(measurement, other):
    return torch.equal(measurement.y, other.y) and measurement.operator == other.operator


def save_and_die(path: Path, number: int) -> int:
    """Save NEW in a process that is killed before the ``number``-th file is moved to its place; how it ended.

    Returns:
        Minus the signal that killed it, else the count of moves.
    """
    child = os.fork()
    if child:
        status = os.waitpid(child, 0)[1]
        return os.waitstatus_to_exitcode(status)
    moved, move = [], os.replace

    def move_or_die(source, target):
        moved.append(target)
        if len(moved) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        move(source, target)

    os.replace = move_or_die
    save_measurement(NEW, path)
    os._exit(len(moved))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize("before", ["pair", "pair of release 0.1.0", "array alone", "nothing"])
def test_a_kill_leaves_the_old_pair_or_the_new_one(tmp_path, number, before):
    path = tmp_path / "a.npy"
    if before != "nothing":
        save_measurement(OLD, path)
    if before == "pair of release 0.1.0":
        settings = json.loads((tmp_path / "a.json").read_text())
        del settings["sha256"]
        (tmp_path / "a.json").write_text(json.dumps(settings))
    if before == "array alone":
        (tmp_path / "a.json").unlink()
    code = save_and_die(path, number)
    moves = 2 if before == "nothing" else 3
    assert code == (-signal.SIGKILL if number <= moves else moves)
    arrived = number > 2  # the array is the second to be moved
    if before == "nothing" and not arrived:
        assert not path.exists()
    elif before == "array alone" and not arrived:
        with pytest.raises(ValueError, match=r"does not say how it was recorded"):
            load_measurement(path)
        assert same(load_measurement(path, OLD.operator), OLD)
    else:
        assert same(load_measurement(path), NEW if arrived else OLD)
    save_measurement(OLD, path)  # and whatever is left behind does not stand in the way of the next one
    assert same(load_measurement(path), OLD)


def test_files_of_two_pairs_are_no_pair(tmp_path):
    save_measurement(OLD, tmp_path / "a.npy")
    save_measurement(NEW, tmp_path / "b.npy")
    (tmp_path / "b.json").replace(tmp_path / "a.json")
    with pytest.raises(ValueError, match=r"'a.json' belongs to another 'a.npy' than the one beside it; save the meas"):
        load_measurement(tmp_path / "a.npy")


def test_a_pair_of_the_first_release_is_read(tmp_path):
    save_measurement(OLD, tmp_path / "a.npy")
    settings = json.loads((tmp_path / "a.json").read_text())
    del settings["sha256"]
    (tmp_path / "a.json").write_text(json.dumps(settings))
    assert same(load_measurement(tmp_path / "a.npy"), OLD)


def test_nothing_but_the_pair_is_left(tmp_path):
    for measurement in (OLD, NEW):
        save_measurement(measurement, tmp_path / "a.npy")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.npy"]
    assert "previous" not in json.loads((tmp_path / "a.json").read_text())


def test_a_json_of_somebody_else_is_not_overwritten(tmp_path):
    """A run's own record may have the name that the settings would take."""
    (tmp_path / "run_00001.json").write_text('{"schema": "sampler-lab/run/1"}')
    with pytest.raises(ValueError, match=r"'run_00001.json' is there already and belongs to something else"):
        save_measurement(OLD, tmp_path / "run_00001.npy")
    assert [path.name for path in tmp_path.iterdir()] == ["run_00001.json"]


def test_the_array_is_read_by_numpy(tmp_path):
    save_measurement(OLD, tmp_path / "a.npy")
    assert np.array_equal(np.load(tmp_path / "a.npy"), OLD.y[0].numpy())
