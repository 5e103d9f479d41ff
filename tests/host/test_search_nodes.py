"""Repulsion, pruning and hard consistency through the prompt queue of the running host."""

from __future__ import annotations

import copy
import json
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from sampler_lab.instruments.record import load_metrics
from sampler_lab.labkit.outcome import PromptRefused
from sampler_lab.labkit.workflow import to_api

pytestmark = pytest.mark.host

TEMPLATES = Path(__file__).resolve().parents[2] / "example_workflows"


@pytest.fixture
def graph(object_info):
    """The template of the whole search, cut to a size that runs in seconds; change it by :func:`set_input`."""
    prompt = to_api(json.loads((TEMPLATES / "05 Explore, prune, polish.json").read_text(encoding="utf-8")), object_info)
    set_input(prompt, "SamplerLabAnnealingScheduler", "steps", 5)
    set_input(prompt, "SamplerLabHmcDataStep", "preset", "custom")
    set_input(prompt, "SamplerLabHmcDataStep", "steps", 2)
    set_input(prompt, "SamplerLabHardConsistency", "iterations", 3)
    return prompt


def only(prompt, node_type):
    (key,) = [key for key, node in prompt.items() if node["class_type"] == node_type]
    return key


def set_input(prompt, node_type, name, value):
    prompt[only(prompt, node_type)]["inputs"][name] = value


def run(client, prompt):
    """The result, and the record that Compare To Reference names."""
    result = client.run(prompt, timeout=300)
    (file,) = [file for file in result.files("SamplerLabCompareToReference") if file["filename"].endswith(".json")]
    return result, json.loads(client.view(file))


def pictures(client, result):
    return [Image.open(BytesIO(client.view(file))).convert("RGB").tobytes() for file in result.files("SaveImage")]


def test_the_whole_search(client, server, graph):
    result, facts = run(client, graph)
    assert [phase["name"] for phase in facts["phases"]] == ["explore", "prune", "polish", "refine"]
    assert [len(row["particles"]) for row in facts["steps"]] == [4, 4, 4, 4, 2]
    decision = facts["steps"][3]["pruning"]
    assert len(decision["kept"]) == len(decision["dropped"]) == 2
    assert facts["steps"][0]["repulsion"] == pytest.approx(0.04)
    assert facts["options"]["estimate"]["repulsion"]["feature_space"] == "latent"
    assert all(0 <= count <= 3 for count in facts["steps"][4]["polish"]["iterations"])
    # The batch shrank on its way to VAEDecode, and the table calls the particles what the run called them.
    assert len(pictures(client, result)) == 2
    assert [row["particle"] for row in facts["quality"][0]["particles"]] == decision["kept"]
    files = (Path(server.base) / "output" / "sampler_lab").glob("run_*/metrics.json")
    assert load_metrics(max(files, key=lambda path: path.stat().st_mtime_ns))["status"] == "finished"


def test_parts_at_strength_zero_change_no_pixel(client, graph):
    off = copy.deepcopy(graph)
    set_input(off, "SamplerLabRepulsion", "rho", 0.0)
    set_input(off, "SamplerLabPruning", "keep", 0)
    set_input(off, "SamplerLabHardConsistency", "iterations", 0)
    without = copy.deepcopy(graph)
    for name in ("repulsion", "moves"):
        del without[only(without, "SamplerLabLatentDAPS")]["inputs"][name]
    first, second = (pictures(client, run(client, prompt)[0]) for prompt in (off, without))
    assert len(first) == 4
    assert first == second


def test_other_feature_spaces_and_modes(client, graph):
    for changes in (
        {"feature_space": "pixel", "micro_batch": 1},
        {"feature_space": "dino", "preprocessing": "rsd_compat"},  # no weights here: the latent takes its place
        {"mode": "raw", "scale": 5.0, "schedule": "cosine"},
    ):
        for name, value in changes.items():
            set_input(graph, "SamplerLabRepulsion", name, value)
        _, facts = run(client, graph)
        assert facts["steps"][0]["repulsion"] > 0
        assert all(norm > 0 for norm in facts["steps"][0]["repulsion_norm"])


@pytest.mark.parametrize("mode", ["residual", "resample"])
def test_other_modes_of_pruning_on_a_flow_model(client, graph, mode):
    set_input(graph, "SamplerLabPruning", "mode", mode)
    set_input(graph, "SamplerLabPruning", "keep", 3)
    set_input(graph, "SamplerLabLoadEmojiPrior", "parameterization", "flow")
    result, facts = run(client, graph)
    assert len(pictures(client, result)) == 3
    assert len(facts["steps"][-1]["particles"]) == 3


def test_one_particle_is_nobody_to_prune_or_to_repel(client, graph):
    set_input(graph, "SamplerLabParticles", "particles", 1)
    result, facts = run(client, graph)
    assert len(pictures(client, result)) == 1
    assert [phase["name"] for phase in facts["phases"]] == ["explore", "polish"]


def test_wrong_settings_are_refused(client, graph):
    set_input(graph, "SamplerLabPruning", "progress", 1.5)
    with pytest.raises(PromptRefused, match="progress"):
        client.run(graph, timeout=60)
