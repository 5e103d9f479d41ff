"""The running host: it has the pack in it, and refuses and runs graphs as the client expects."""

from __future__ import annotations

import pytest
from sampler_lab.labkit.client import PromptRefused

pytestmark = pytest.mark.host


def _solid_picture() -> dict:
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 4, "batch_size": 2, "color": 0x336699}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "solid"}},
    }


def test_a_graph_runs_and_its_pictures_can_be_fetched(client):
    seen = []
    result = client.run(_solid_picture(), on_progress=seen.append, timeout=60)
    files = result.files("SaveImage")
    assert len(files) == 2
    assert all(client.view(file).startswith(b"\x89PNG") for file in files)
    assert {progress.node_type for progress in seen} == {"EmptyImage", "SaveImage"}


def test_an_invalid_graph_is_refused_with_the_hosts_sentence(client):
    graph = _solid_picture()
    graph["1"]["inputs"]["width"] = -1
    with pytest.raises(PromptRefused, match=r"node 1 \(EmptyImage\): Value -1 smaller than min") as refused:
        client.queue(graph)
    assert set(refused.value.node_errors) == {"1"}
