"""Parts of LatentDAPS by their sockets: what a connected node, a preset and a former input each mean, in pixels."""

from __future__ import annotations

import json
import math
import time
from io import BytesIO

import pytest
from PIL import Image
from sampler_lab.labkit.outcome import PromptRefused, RunFailed
from sampler_lab.labkit.places import LATENT_DAPS_TEMPLATE
from sampler_lab.labkit.workflow import to_api

pytestmark = pytest.mark.host

CHAIN = {
    "steps": 3,
    "step_size": 2e-4,
    "step_size_end": 0.2,
    "tau": 0.03,
    "prior_width": "sigma",
    "gradient_clamp": 1.0,
}
PRUNING = {"class_type": "SamplerLabPruning", "inputs": {"keep": 2, "progress": 0.5, "mode": "residual"}}
POLISH = {
    "class_type": "SamplerLabHardConsistency", "inputs": {"iterations": 2, "learning_rate": 1e-3, "start": 0.5},
}  # fmt: skip


class Graph:
    """The first template as a prompt, cut short, whose LatentDAPS Sampler is given ``inputs`` and further nodes."""

    def __init__(self, client, object_info):
        self.client = client
        self.prompt = to_api(json.loads(LATENT_DAPS_TEMPLATE.read_text(encoding="utf-8")), object_info)
        self.only("SamplerLabAnnealingScheduler")["steps"] = 3
        self.only("SamplerLabParticles")["particles"] = 3

    def only(self, node_type):
        (inputs,) = [node["inputs"] for node in self.prompt.values() if node["class_type"] == node_type]
        return inputs

    def with_inputs(self, nodes=None, **inputs):
        """``nodes``: by name; an input is linked to the output of one by ``[name, 0]``."""
        prompt = json.loads(json.dumps(self.prompt)) | (nodes or {})
        (key,) = [key for key, node in prompt.items() if node["class_type"] == "SamplerLabLatentDAPS"]
        prompt[key]["inputs"] |= inputs | {"metrics_prefix": f"sampler_lab/parts/{time.monotonic_ns()}"}
        return prompt

    def run(self, nodes=None, **inputs):
        """The pictures, and the options of the record."""
        result = self.client.run(self.with_inputs(nodes, **inputs), timeout=300)
        (file,) = [file for file in result.files("SamplerLabCompareToReference") if file["filename"].endswith(".json")]
        pictures = [Image.open(BytesIO(self.client.view(each))) for each in result.files("SaveImage")]
        return [picture.convert("RGB").tobytes() for picture in pictures], json.loads(self.client.view(file))["options"]


@pytest.fixture
def graph(client, object_info):
    return Graph(client, object_info)


def part(node_type, **inputs):
    return {"class_type": node_type, "inputs": inputs}


def langevin(**changes):
    return part("SamplerLabLangevinDataStep", **({"preset": "custom"} | CHAIN | changes))


def hmc(**changes):
    return part("SamplerLabHmcDataStep", **({"preset": "custom", "momentum": 0.5} | CHAIN | changes))


@pytest.mark.parametrize(("preset", "data_step"), [("emoji_langevin", langevin), ("emoji_hmc", hmc)])
def test_a_preset_of_a_part_is_the_preset_of_the_sampler(graph, preset, data_step):
    """Whatever numbers stand beside its name, as in a prompt from elsewhere, and over another preset of the sampler."""
    estimate = part("SamplerLabProbabilityFlowEstimate", preset="emoji_langevin", steps=1, sigma_min=0.5, rho=1.0)
    alone = graph.run(preset=preset)
    nodes = {"step": data_step(preset=preset), "estimate": estimate}
    assert graph.run(nodes, preset="langevin", data_step=["step", 0], estimate=["estimate", 0]) == alone


def test_numbers_of_a_part_count_and_are_recorded(graph):
    pictures, options = graph.run({"step": hmc(momentum=0.25)}, preset="emoji_hmc", data_step=["step", 0])
    assert options["data_step"] == {"name": "hmc", **CHAIN, "momentum": 0.25, "weight": 1.0}
    assert options["estimate"]["steps"] == 3
    assert pictures != graph.run(preset="emoji_hmc")[0]


def test_weight_and_repulsion_go_with_connected_parts(graph):
    nodes = {
        "step": langevin(),
        "estimate": part("SamplerLabProbabilityFlowEstimate", preset="custom", steps=2, sigma_min=0.02, rho=7.0),
        "repulsion": part(
            "SamplerLabRepulsion",
            mode="normalised", rho=0.04, scale=10.0, sigma_break=0.3, feature_space="latent",
        ),
    }  # fmt: skip
    links = {"data_step": ["step", 0], "estimate": ["estimate", 0], "repulsion": ["repulsion", 0]}
    _, options = graph.run(nodes, measurement_weight=2.5, **links)
    assert options["data_step"]["weight"] == 2.5
    assert options["estimate"]["steps"] == 2
    assert options["estimate"]["repulsion"]["strength"] == 0.04


def test_moves_in_a_row_are_the_former_sockets(graph):
    polish_after = {**POLISH, "inputs": POLISH["inputs"] | {"moves": ["pruning", 0]}}
    former = graph.run({"pruning": PRUNING, "polish": POLISH}, pruning=["pruning", 0], hard_consistency=["polish", 0])
    assert graph.run({"pruning": PRUNING, "polish": polish_after}, moves=["polish", 0]) == former
    assert list(former[1]["moves"]) == ["pruning", "hard_consistency"]
    assert len(former[0]) == 2 + 1  # those that went on, and the one that is chosen


def test_moves_happen_in_the_order_of_their_links(graph):
    pruning_after = {**PRUNING, "inputs": PRUNING["inputs"] | {"moves": ["polish", 0]}}
    _, options = graph.run({"pruning": pruning_after, "polish": POLISH}, moves=["pruning", 0])
    assert list(options["moves"]) == ["hard_consistency", "pruning"]


def test_a_former_number_means_what_it_meant(graph):
    """tau of release 0.1 had no one-half in the likelihood; -1 and 0 leave a number alone."""
    former = {"mcmc_steps": 3, "step_size": 2e-4, "tau": 0.05, "momentum": -1.0, "ode_steps": 2, "gradient_clamp": 0.0}
    pictures, options = graph.run(preset="emoji_hmc", **former)
    chain = options["data_step"]
    assert (chain["steps"], chain["step_size"], chain["step_size_end"]) == (3, 2e-4, 0.1)
    assert chain["tau"] == pytest.approx(0.05 / math.sqrt(2), rel=1e-12)
    assert (chain["momentum"], chain["prior_width"], chain["gradient_clamp"]) == (0.7, "capped", 0.0)
    assert (options["estimate"]["steps"], options["estimate"]["sigma_min"]) == (2, 0.02)
    numbers = {name: chain[name] for name in (*CHAIN, "momentum")}
    nodes = {
        "step": hmc(**numbers),
        "estimate": part("SamplerLabProbabilityFlowEstimate", preset="custom", steps=2, sigma_min=0.02, rho=7.0),
    }
    assert graph.run(nodes, data_step=["step", 0], estimate=["estimate", 0])[0] == pictures


def test_a_former_momentum_means_nothing_to_a_langevin_chain(graph):
    assert graph.run(preset="emoji_langevin", momentum=0.9) == graph.run(preset="emoji_langevin")


@pytest.mark.parametrize(
    ("nodes", "inputs", "sentence"),
    [
        (
            {"step": langevin()},
            {"mcmc_steps": 20, "data_step": ["step", 0]},
            "mcmc_steps is 20, and data_step is connected, which has that number too; set mcmc_steps to 0, or "
            "disconnect data_step.",
        ),
        (
            {"step": langevin()},
            {"prior_width": "capped", "data_step": ["step", 0]},
            "prior_width is capped, .* set prior_width to as the preset, or disconnect data_step.",
        ),
        (
            {"step": langevin(step_size=0.0)},
            {"data_step": ["step", 0]},
            "step_size is 0.0; it must be a number",
        ),
        ({"step": hmc(tau=0.0)}, {"data_step": ["step", 0]}, "tau is 0.0; it must be a number greater than 0"),
        (
            {},
            {"data_step": "langevin"},
            "data_step is 'langevin', which is no SAMPLERLAB_DATA_STEP; connect",
        ),
    ],
)
def test_what_cannot_go_together_is_one_sentence(graph, nodes, inputs, sentence):
    with pytest.raises(RunFailed, match=sentence):
        graph.run(nodes, **inputs)


@pytest.mark.parametrize("socket", ["data_step", "estimate", "repulsion"])
def test_a_part_does_not_fit_another_socket(graph, client, socket):
    with pytest.raises(PromptRefused, match=socket):
        client.queue(graph.with_inputs({"pruning": PRUNING}, **{socket: ["pruning", 0]}))
