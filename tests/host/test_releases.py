"""Templates of every release so far: each still opens, every node and value is known, and the queue takes it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from sampler_lab.labkit.places import ROOT
from sampler_lab.labkit.workflow import to_api

RELEASES = ROOT / "tests" / "releases"
FILES = sorted(RELEASES.glob("*/*.json"))
DAPS = "SamplerLabLatentDAPS"
#: What release 0.1 sampled with under its presets. Its likelihood was exp(-L/tau^2), today's is exp(-L/(2 tau^2)).
LANGEVIN = {"steps": 10, "step_size": 5e-4, "step_size_end": 0.1, "prior_width": "capped", "gradient_clamp": 0.0}
HMC = LANGEVIN | {"step_size": 1e-4, "momentum": 0.7}
TAU = 0.028 / math.sqrt(2)
PRUNING = {"keep": 2, "progress": 0.8, "mode": "diverse", "tolerance": 0.03, "duplicate_psnr": 20.0}
POLISH = {"iterations": 20, "learning_rate": 1e-3, "start": 0.8, "slack": 1.0, "window": 10, "gate_sigma": 0.2}
SAMPLED = {
    "phase_retrieval": (LANGEVIN, {}, None),
    "own_measurement": (LANGEVIN, {}, None),
    "daps_pruning": (HMC, {"pruning": PRUNING}, None),
    "daps_repulsion": (HMC, {}, 0.04),
    "daps_full": (HMC, {"pruning": PRUNING, "hard_consistency": POLISH}, 0.04),
}

pytestmark = pytest.mark.host


def test_there_are_releases():
    assert {file.parent.name for file in FILES} == {"0.1.0"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name} {file.stem}")
def test_the_queue_takes_a_template_of_an_older_release(client, object_info, file):
    workflow = json.loads(file.read_text(encoding="utf-8"))
    client.cancel(client.queue(to_api(workflow, object_info)))


def of_daps(prompt):
    """What LatentDAPS and everything that goes into it are given: what decides what is sampled."""
    kinds = (DAPS, *(f"SamplerLab{name}" for name in ("Repulsion", "Pruning", "HardConsistency", "AnnealingScheduler")))
    return {key: node["inputs"] for key, node in prompt.items() if node["class_type"] in kinds}


def cut(prompt):
    for node in prompt.values():
        if node["class_type"] == "SamplerLabAnnealingScheduler":
            node["inputs"]["steps"] = 1
        if node["class_type"] == "SamplerLabParticles":
            node["inputs"]["particles"] = 2
    return prompt


@pytest.mark.parametrize("name", SAMPLED)
def test_a_template_of_an_older_release_samples_with_the_same_numbers(client, server, object_info, name):
    prompt = cut(to_api(json.loads((RELEASES / "0.1.0" / f"{name}.json").read_text(encoding="utf-8")), object_info))
    folder = Path(server.base) / "output" / "sampler_lab" / "releases"
    # Two runs are beside each other in one of them; the one with repulsion comes second.
    for number, node in enumerate(node for node in prompt.values() if node["class_type"] == DAPS):
        node["inputs"]["metrics_prefix"] = f"sampler_lab/releases/{name}_{number}"
    client.run(prompt, timeout=300)
    records = [json.loads(path.read_text()) for path in sorted(folder.glob(f"{name}_*/metrics.json"))]
    chain, moves, repulsion = SAMPLED[name]
    for record in records:
        options = record["options"]
        assert {key: options["data_step"][key] for key in chain} == chain
        assert options["data_step"]["name"] == ("hmc" if "momentum" in chain else "langevin")
        assert options["data_step"]["tau"] == pytest.approx(TAU, rel=1e-12)
        assert (options["estimate"]["steps"], options["estimate"]["sigma_min"]) == (3, 0.02)
        assert list(options["moves"]) == list(moves)
        for move, numbers in moves.items():
            assert {key: options["moves"][move][key] for key in numbers} == numbers
    strengths = [(record["options"]["estimate"]["repulsion"] or {}).get("strength") for record in records]
    assert strengths[-1] == repulsion
    assert len(records) == (2 if name == "daps_repulsion" else 1)


@pytest.mark.browser
@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name} {file.stem}")
def test_the_editor_opens_a_template_of_an_older_release(page, object_info, file):
    """No node is missing, each has the widgets' values that were saved, and what it sends means the same."""
    workflow = json.loads(file.read_text(encoding="utf-8"))
    missing = page.evaluate(
        """async (workflow) => {
            await window.app.loadGraphData(workflow);
            return window.app.graph.nodes.filter((node) => node.has_errors).map((node) => node.type);
        }""",
        workflow,
    )
    assert missing == []
    assert page.evaluate("() => window.app.graph.nodes.length") == len(workflow["nodes"])
    sent = page.evaluate("async () => (await window.app.graphToPrompt()).output")
    assert of_daps(sent) == of_daps(to_api(workflow, object_info))
