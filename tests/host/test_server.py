"""The prompt queue of a running host, through the lab's client: results, refusals, failures, cancel, files."""

from __future__ import annotations

import json
import threading
import time

import pytest
from patience import patience
from sampler_lab.labkit.client import Client
from sampler_lab.labkit.errors import LabError
from sampler_lab.labkit.outcome import PromptRefused, RunFailed, RunInterrupted, ServerGone
from sampler_lab.labkit.server import free_port

pytestmark = pytest.mark.host


def solid_picture(height: int = 4) -> dict:
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": height, "batch_size": 2, "color": 0x336699}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "solid"}},
    }


def long_run(seed: int) -> dict:
    """Minutes of sampling, unless somebody cancels it."""
    return {
        "1": {"class_type": "SamplerLabLoadEmojiPrior", "inputs": {"parameterization": "edm"}},
        "2": {"class_type": "SamplerLabEmojiPrompt", "inputs": {"class_name": "face"}},
        "0": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
        "3": {"class_type": "VAEEncode", "inputs": {"pixels": ["0", 0], "vae": ["1", 1]}},
        "4": {
            "class_type": "KSampler",
            "inputs": {
                "model": ["1", 0],
                "positive": ["2", 0],
                "negative": ["2", 0],
                "latent_image": ["3", 0],
                "seed": seed,
                "steps": 10_000,
                "cfg": 1.0,
                "sampler_name": "euler",
                "scheduler": "karras",
                "denoise": 1.0,
            },
        },
        "5": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 1]}},
        "6": {"class_type": "PreviewImage", "inputs": {"images": ["5", 0]}},
    }


def test_a_graph_runs_and_its_pictures_can_be_fetched(client):
    seen = []
    result = client.run(solid_picture(), on_progress=seen.append, timeout=60)
    files = result.files("SaveImage")
    assert len(files) == 2
    assert all(client.view(file).startswith(b"\x89PNG") for file in files)
    assert {progress.node_type for progress in seen} == {"EmptyImage", "SaveImage"}


def test_the_editors_workflow_travels_in_the_picture(client):
    workflow = {"nodes": [], "links": [], "note": "opened by dropping the picture"}
    result = client.run(solid_picture(height=5), workflow=workflow, timeout=60)
    assert json.dumps(workflow).encode() in client.view(result.files()[0])


def test_a_run_can_be_waited_for_afterwards(client):
    prompt_id = client.queue(solid_picture(height=6))
    first = client.wait(prompt_id, timeout=60)
    assert client.wait(prompt_id, timeout=60).outputs == first.outputs


def test_an_invalid_graph_is_refused_with_the_hosts_sentence(client):
    graph = solid_picture()
    graph["1"]["inputs"]["width"] = -1
    with pytest.raises(PromptRefused, match=r"node 1 \(EmptyImage\): Value -1 smaller than min") as refused:
        client.queue(graph)
    assert set(refused.value.node_errors) == {"1"}


def test_a_graph_that_is_half_valid_is_taken_back(client):
    graph = solid_picture(height=7)
    graph["3"] = {"class_type": "SaveImage", "inputs": {"filename_prefix": "nothing"}}
    with pytest.raises(PromptRefused, match=r"node 3 \(SaveImage\): Required input is missing"):
        client.run(graph)


def test_an_unknown_node_is_refused(client):
    with pytest.raises(PromptRefused, match="NoSuchNode"):
        client.queue({"1": {"class_type": "NoSuchNode", "inputs": {}}})


def test_a_node_that_fails_is_named(client, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    name = client.upload_image(tmp_path / "broken.png")
    graph = solid_picture()
    graph["1"] = {"class_type": "LoadImage", "inputs": {"image": name}}
    with pytest.raises((RunFailed, PromptRefused), match=r"ode 1 \(LoadImage\)"):
        client.run(graph, timeout=60)


def test_an_uploaded_picture_arrives_unchanged(client, tmp_path):
    saved = client.view(client.run(solid_picture(height=9), timeout=60).files()[0])
    (tmp_path / 'ein "Bild" ü.png').write_bytes(saved)
    name = client.upload_image(tmp_path / 'ein "Bild" ü.png')
    assert client.view({"filename": name, "subfolder": "", "type": "input"}) == saved


def test_an_upload_leaves_a_users_input_of_the_same_name_alone(client, server, tmp_path):
    users = server.base / "input" / "holiday.png"
    users.write_bytes(b"the user's own")
    contents = [client.view(client.run(solid_picture(height=h), timeout=60).files()[0]) for h in (11, 13)]
    names = []
    for content in (*contents, contents[0]):
        (tmp_path / "holiday.png").write_bytes(content)
        names.append(client.upload_image(tmp_path / "holiday.png"))
    assert users.read_bytes() == b"the user's own"
    assert names[0] != names[1], "what a run waits for is not replaced by the next upload"
    assert names[0] == names[2], "the same picture twice is one file"
    for name, content in zip(names, (*contents, contents[0]), strict=True):
        assert client.view({"filename": name, "type": "input"}) == content
    loaded = solid_picture()
    loaded["1"] = {"class_type": "LoadImage", "inputs": {"image": names[1]}}
    assert client.run(loaded, timeout=60).files()


def test_a_picture_that_is_not_there_is_told(client, tmp_path):
    with pytest.raises(LabError, match="cannot be read: No such file"):
        client.upload_image(tmp_path / "missing.png")
    with pytest.raises(LabError, match=r"has no file missing\.png"):
        client.view({"filename": "missing.png", "subfolder": "", "type": "output"})


def test_a_run_is_cancelled_in_the_middle(client):
    steps = []
    under_way = threading.Event()

    def watch(progress):
        if progress.node_type == "KSampler" and progress.value > 0:
            steps.append(progress.value)
            under_way.set()

    def cancel():
        under_way.wait(120)
        client.interrupt()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(RunInterrupted):
        client.run(long_run(seed=1), on_progress=watch, timeout=300)
    canceller.join()
    assert steps
    assert max(steps) < 10_000


def test_a_waiting_run_is_cancelled_without_starting(client):
    first, second = client.queue(long_run(seed=2)), client.queue(long_run(seed=3))
    client.cancel(second)
    running, waiting = client.queue_state()
    assert second not in [*running, *waiting]
    client.cancel(first)
    with pytest.raises(RunInterrupted):
        client.wait(first, timeout=60)


def test_a_time_limit_ends_the_waiting(client):
    prompt_id = client.queue(long_run(seed=4))
    with pytest.raises(LabError, match="is not finished after 1 seconds"):
        Client(client.url).wait(prompt_id, timeout=1)


def test_a_limit_since_the_last_news_lets_a_slow_run_go_on(client):
    prompt_id, limit = client.queue(long_run(seed=5)), patience(10)
    seen = []

    def be_slow(progress):
        seen.append(progress)
        if len(seen) == 1:
            time.sleep(limit + 1)
            client.cancel(prompt_id)

    with pytest.raises(RunInterrupted):
        client.wait(prompt_id, on_progress=be_slow, timeout=limit)


def test_a_server_that_is_gone_is_named():
    url = f"http://127.0.0.1:{free_port()}"
    for ask in (lambda: Client(url).system_stats(), lambda: Client(url).run(solid_picture())):
        with pytest.raises(ServerGone, match=f"The server at {url} does not answer"):
            ask()
