"""The run's record: what it holds, strict JSON, a valid file after SIGKILL, and the reader's sentences."""

import hashlib
import json
import logging
import math
import mmap
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from recorded_runs import particle, quality
from sampler_lab.instruments.memory import PeakMemory, resident_bytes
from sampler_lab.instruments.record import SCHEMA, RunRecord, load_metrics

ROOT = Path(__file__).resolve().parents[2]
MEBIBYTE = 2**20


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs" / "metrics.json"


def begun(path=None, **facts):
    record = RunRecord(path, flush_interval=0.0)
    record.begin(**{"options": {"tau": 0.01}, "seed": 42, "sigmas": [10.0, 1.0, 0.0], "particles": 2, **facts})
    return record


def strict(path):
    """The file as a reader that knows no NaN sees it."""

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


# -- what it holds ---------------------------------------------------------------------------------------------------


def test_holds_what_the_run_was_asked(path):
    record = begun(
        path,
        measurement={"count": 27648, "noise_floor": 36.9, "operator": {"oversample": 2.0}},
        versions={"comfyui": "0.30.0", "python": "3.11.9"},
        device=torch.device("cpu"),
    )
    record.finish()
    metrics = load_metrics(path)
    assert metrics["schema"] == SCHEMA == "sampler-lab/metrics/2"
    assert metrics["status"] == "finished"
    assert (metrics["seed"], metrics["particles"], metrics["device"]) == (42, 2, "cpu")
    assert metrics["options"] == {"tau": 0.01}
    assert metrics["measurement"] == {"count": 27648, "noise_floor": 36.9, "operator": {"oversample": 2.0}}
    declared = next(line for line in (ROOT / "pyproject.toml").read_text().splitlines() if line.startswith("version"))
    assert f'"{metrics["versions"]["pack"]}"' in declared
    assert metrics["versions"]["torch"] == torch.__version__
    assert metrics["versions"]["comfyui"] == "0.30.0"
    assert metrics["created"] <= metrics["updated"]


def test_sigmas_are_hashed_as_little_endian_doubles():
    sigmas = torch.tensor([10.0, 0.1, 0.0])
    metrics = begun(sigmas=sigmas).to_dict()
    assert metrics["sigmas"] == sigmas.tolist()
    assert metrics["sigmas_sha256"] == hashlib.sha256(struct.pack("<3d", *sigmas.tolist())).hexdigest()


def test_calls_are_counted_per_phase_and_in_total():
    record = begun()
    record.count(denoiser=1)
    with record.phase("explore"):
        record.count(denoiser=8, decoder_forward=40, decoder_backward=39)
    with record.phase("polish"):
        record.count(decoder_forward=5)
    with record.phase("explore"):
        record.count(denoiser=2)
    metrics = record.to_dict()
    assert metrics["calls"] == {"denoiser": 11, "decoder_forward": 45, "decoder_backward": 39, "encoder": 0}
    assert [phase["name"] for phase in metrics["phases"]] == ["explore", "polish"]
    explore, polish = (phase["calls"] for phase in metrics["phases"])
    assert explore == {"denoiser": 10, "decoder_forward": 40, "decoder_backward": 39, "encoder": 0}
    assert polish == {"denoiser": 0, "decoder_forward": 5, "decoder_backward": 0, "encoder": 0}


def test_a_step_holds_values_of_every_particle_and_may_be_completed_later():
    record = begun()
    with record.phase("explore"):
        record.step(0, 10.0, residual=torch.tensor([3.0, 2.0]), pairwise_distance=0.5)
        record.step(0, 10.0, repulsion=True, repulsion_norm=[0.1, 0.2])
    with record.phase("polish"):
        record.step(0, None, residual=[1.0], particles=[1])
    first, second = record.to_dict()["steps"]
    assert first == {
        "step": 0,
        "phase": "explore",
        "sigma": 10.0,
        "residual": [3.0, 2.0],
        "pairwise_distance": 0.5,
        "repulsion": True,
        "repulsion_norm": [0.1, 0.2],
    }
    assert second == {"step": 0, "phase": "polish", "sigma": None, "residual": [1.0], "particles": [1]}


def test_a_second_table_of_the_same_image_replaces_the_first():
    record = begun()
    record.quality({"blind": 0})
    record.quality({"blind": 1}, image="other")
    record.quality({"blind": 2})
    assert record.to_dict()["quality"] == [{"image": "other", "blind": 1}, {"image": "image", "blind": 2}]


def test_what_it_hands_out_is_a_copy():
    record = begun()
    record.step(0, 1.0, residual=[1.0])
    record.to_dict()["steps"][0]["residual"][0] = 99.0
    record.to_dict()["options"]["tau"] = 99.0
    assert record.to_dict()["steps"][0]["residual"] == [1.0]
    assert record.to_dict()["options"] == {"tau": 0.01}


def test_a_phase_that_fails_is_still_timed_and_closed(path):
    record = begun(path)

    def fail():
        with record.phase("explore"):
            time.sleep(0.02)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with record.phase("again"):
        pass
    record.finish("failed")
    metrics = load_metrics(path)
    assert metrics["status"] == "failed"
    assert metrics["phases"][0]["wall_seconds"] >= 0.02
    assert metrics["wall_seconds"] >= metrics["phases"][0]["wall_seconds"]


def test_phases_do_not_nest():
    record = begun()
    inner = record.phase("prune")
    with record.phase("explore"), pytest.raises(RuntimeError, match="'prune' begins inside phase 'explore'"):
        inner.__enter__()


@pytest.mark.parametrize("status", ["running", "done", ""])
def test_a_run_ends_in_one_of_three_ways(status):
    with pytest.raises(ValueError, match="finished, cancelled, failed"):
        begun().finish(status)


# -- memory ----------------------------------------------------------------------------------------------------------


def test_peak_memory_belongs_to_its_phase():
    """A block that is allocated and released inside the first phase counts there and not in the next one."""
    record = begun()
    size = 96 * MEBIBYTE
    with record.phase("large"):
        before = resident_bytes()
        # A mapping of its own: the allocator might hand out pages that earlier tests left resident.
        block = mmap.mmap(-1, size)
        for page in range(0, size, mmap.PAGESIZE):
            block[page] = 1
        deadline = time.monotonic() + 30  # the watching thread looks every 20 ms, but a busy machine may be slow
        while record.to_dict()["phases"][0]["peak_memory_bytes"] < before + 0.9 * size and time.monotonic() < deadline:
            time.sleep(0.01)
        block.close()
    with record.phase("small"):
        time.sleep(0.05)
    large, small = record.to_dict()["phases"]
    assert large["memory_kind"] == small["memory_kind"] == "process_resident"
    assert large["peak_memory_bytes"] >= before + 0.9 * size
    assert small["peak_memory_bytes"] <= large["peak_memory_bytes"] - 0.5 * size


def test_peak_memory_is_known_while_it_is_measured():
    with PeakMemory() as memory:
        assert memory.so_far() >= resident_bytes() // 2
    assert memory.bytes == memory.so_far()


if torch.cuda.is_available():

    def test_cuda_memory_is_exact():
        with PeakMemory("cuda") as memory:
            start = torch.cuda.memory_allocated()
            block = torch.ones(64 * MEBIBYTE, dtype=torch.uint8, device="cuda")
            del block
        assert memory.kind == "cuda_allocated"
        assert memory.bytes == start + 64 * MEBIBYTE


# -- the file --------------------------------------------------------------------------------------------------------


def test_not_finite_becomes_null(path):
    record = begun(path, options={"step_size": math.nan, "deep": [{"x": math.inf}]})
    record.step(0, math.inf, residual=torch.tensor([1.0, math.nan, -math.inf]))
    record.quality(quality([particle(0, math.inf, 21.0)]))
    record.finish()
    metrics = strict(path)
    assert metrics["options"] == {"step_size": None, "deep": [{"x": None}]}
    assert metrics["steps"][0]["residual"] == [1.0, None, None]
    assert metrics["steps"][0]["sigma"] is None
    assert metrics["quality"][0]["particles"][0]["raw"]["psnr"] is None
    assert load_metrics(path) == metrics


def test_options_of_any_kind_become_plain(path):
    options = {"dtype": torch.bfloat16, "folder": Path("a/b"), "shape": (1, 2), "half": torch.ones(2).half(), 3: None}
    begun(path, options=options)
    assert strict(path)["options"] == {
        "dtype": "torch.bfloat16",
        "folder": str(Path("a/b")),
        "shape": [1, 2],
        "half": [1.0, 1.0],
        "3": None,
    }


def test_tensors_made_under_inference_mode_are_recorded():
    record = begun()
    with torch.inference_mode():
        record.step(0, 1.0, residual=torch.tensor([1.0, 2.0]))
    assert record.to_dict()["steps"][0]["residual"] == [1.0, 2.0]


def test_the_file_is_valid_from_the_start_and_grows(path):
    record = begun(path)
    assert load_metrics(path)["status"] == "running"
    with record.phase("explore"):
        record.step(0, 10.0, residual=[1.0, 2.0])
        metrics = load_metrics(path)
        assert len(metrics["steps"]) == 1
        assert metrics["phases"][0]["peak_memory_bytes"] > 0
    record.finish("cancelled")
    assert load_metrics(path)["status"] == "cancelled"
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_writes_are_throttled_but_the_end_of_a_phase_is_written(path):
    record = RunRecord(path, flush_interval=3600.0)
    record.begin({}, 0, [1.0, 0.0])
    with record.phase("explore"):
        written = path.stat()
        for i in range(100):
            record.step(i, 1.0)
            record.count(denoiser=1)
        assert (path.stat().st_ino, path.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    assert len(load_metrics(path)["steps"]) == 100


def test_without_a_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = begun()
    with record.phase("explore"):
        record.step(0, 1.0)
    record.finish()
    assert list(tmp_path.iterdir()) == []
    record.save("here.json")
    assert load_metrics("here.json")["status"] == "finished"


def test_a_folder_that_cannot_be_written_does_not_end_the_run(tmp_path, caplog):
    (tmp_path / "file").write_text("not a folder")
    with caplog.at_level(logging.WARNING):
        record = begun(tmp_path / "file" / "metrics.json")
        with record.phase("explore"):
            record.step(0, 1.0)
        record.finish()
    assert len(caplog.records) == 1
    assert "the run goes on" in caplog.text
    with pytest.raises(OSError, match="file"):
        record.save(tmp_path / "file" / "metrics.json")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(path, monkeypatch):
    record = begun(path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        record.save(path)
    assert path.read_bytes() == before
    assert [item.name for item in path.parent.iterdir()] == [path.name]


WRITER = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("lab", sys.argv[1])
lab = importlib.util.module_from_spec(spec)
sys.modules["lab"] = lab
spec.loader.exec_module(lab)
lab.import_pack()
from sampler_lab.instruments.record import RunRecord
record = RunRecord(sys.argv[2], flush_interval=0.0)
record.begin({}, 1, [1.0, 0.0], particles=256)
with record.phase("explore"):
    for i in range(10**9):
        record.step(i % 200, 1.0, residual=[float(i)] * 256)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_process_leaves_a_valid_file(path):
    """A real process that does nothing but write: whole at every look, and after SIGKILL."""
    child = subprocess.Popen([sys.executable, "-c", WRITER, str(ROOT / "lab.py"), str(path)])
    try:
        deadline = time.monotonic() + 120
        states = set()
        while len(states) < 20:
            assert child.poll() is None, "the writer ended by itself"
            assert time.monotonic() < deadline, "the file does not grow"
            if path.exists():
                steps = load_metrics(path)["steps"]
                states.add(steps[-1]["residual"][0] if steps else None)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert child.returncode == -signal.SIGKILL
    metrics = load_metrics(path)
    assert metrics["status"] == "running"
    assert metrics["phases"][0]["name"] == "explore"
    assert all(len(set(step["residual"])) == 1 for step in metrics["steps"])


# -- the reader ------------------------------------------------------------------------------------------------------


def valid():
    record = begun()
    with record.phase("explore"):
        record.count(denoiser=1)
        record.step(0, 10.0, residual=[1.0, 2.0])
    record.quality(quality([particle(0, 20.0, 21.0), particle(1, 9.0, 26.0)]))
    record.finish()
    return record.to_dict()


def test_reads_back_what_was_written_and_keeps_unknown_keys(path):
    metrics = {**valid(), "from_the_future": {"a": 1}}
    path.parent.mkdir()
    path.write_text(json.dumps(metrics))
    assert load_metrics(path) == metrics


def test_a_file_that_is_not_there_is_an_os_error(path):
    with pytest.raises(FileNotFoundError):
        load_metrics(path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"schema": "sampler-la', r"not valid JSON \(line 1"),
        (b"\xff\xfe\x00", "not a text file in UTF-8"),
        (b"[1, 2]", "no key 'schema'"),
        (b'{"schema": NaN}', "contains NaN"),
        (b'{"schema": "sampler-lab/metrics/3"}', "newer Sampler Lab; update the pack"),
        (b'{"schema": "other/1"}', "its schema is 'other/1'; this pack reads 'sampler-lab/metrics/2'"),
        (b'{"schema": null}', "its schema is None"),
    ],
)
def test_says_when_it_is_no_metrics_file(tmp_path, content, sentence):
    file = tmp_path / "broken.json"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=sentence) as error:
        load_metrics(file)
    assert "broken.json" in str(error.value)


def edit(metrics, keys, value):
    *parents, last = keys
    for key in parents:
        metrics = metrics[key]
    if value is KeyError:
        del metrics[last]
    else:
        metrics[last] = value


@pytest.mark.parametrize(
    ("keys", "value", "sentence"),
    [
        (["status"], KeyError, "status is missing"),
        (["status"], "done", "status is 'done'; it must be one of running, finished, cancelled, failed"),
        (["seed"], "42", 'seed is "42"; it must be a whole number or null'),
        (["seed"], 1.5, "seed is 1.5; it must be a whole number or null"),
        (["seed"], True, "seed is true; it must be a whole number or null"),
        (["options"], [], r"options is \[\]; it must be an object"),
        (["wall_seconds"], None, "wall_seconds is null; it must be a number"),
        (["calls", "denoiser"], -1.5, "calls.denoiser is -1.5; it must be a whole number"),
        (["phases", 0, "name"], None, r"phases\[0\].name is null; it must be a text"),
        (["phases", 0, "calls", "decoder_forward"], KeyError, r"phases\[0\].calls.decoder_forward is missing"),
        (["phases", 0], 7, r"phases\[0\] is 7; it must be an object"),
        (["steps", 0, "sigma"], "x", r'steps\[0\].sigma is "x"; it must be a number or null'),
        (["steps", 0, "step"], KeyError, r"steps\[0\].step is missing"),
        (["quality", 0, "image"], KeyError, r"quality\[0\].image is missing"),
        (["sigmas", 1], "one", r'sigmas\[1\] is "one"; it must be a number or null'),
        (["sigmas", 1], 2.0, "do not agree with sigmas_sha256"),
        (["sigmas_sha256"], None, "do not agree with sigmas_sha256"),
    ],
)
def test_names_what_is_wrong_and_where(path, keys, value, sentence):
    metrics = json.loads(json.dumps(valid()))
    edit(metrics, keys, value)
    path.parent.mkdir()
    path.write_text(json.dumps(metrics))
    with pytest.raises(ValueError, match=sentence):
        load_metrics(path)


def test_the_time_of_every_part_is_recorded(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr("sampler_lab.instruments.record.time.monotonic", lambda: float(next(clock)))
    record = RunRecord()
    record.begin({}, 0, [1.0, 0.0])
    for name in ("estimate", "repulsion", "estimate", "data_step"):
        record.part(name)
    record.finish()
    parts = record.to_dict()["parts"]
    assert {name: part["times"] for name, part in parts.items()} == {"estimate": 2, "repulsion": 1, "data_step": 1}
    assert all(part["seconds"] > 0 for part in parts.values())
    assert parts["estimate"]["seconds"] > parts["repulsion"]["seconds"]
