"""Guiders in a real ComfyUI: in a process of its own (every case), and as nodes of a running server."""

from __future__ import annotations

import csv
from io import BytesIO, StringIO
from pathlib import Path

import pytest
import torch
from inside_host import found_by
from PIL import Image
from safetensors.torch import load
from sampler_lab.instruments.plots.guidance import ON_A_NODE
from sampler_lab.labkit.outcome import RunFailed, RunInterrupted

NODES = (
    "SamplerLabLikelihoodGuider",
    "SamplerLabParticleGuider",
    "SamplerLabNormGuider",
    "SamplerLabPlotGuidance",
)
ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def probe(comfyui: Path) -> dict:
    """What the probe measured inside the host."""
    return found_by("guiders_probe.py", comfyui)


def test_at_zero_strength_every_bit_is_that_of_the_plain_guider(probe):
    assert len(probe["zero strength"]) == 11
    assert [case for case, same in probe["zero strength"].items() if not same] == []


@pytest.mark.parametrize("kind", ["edm", "flow", "edm basic", "flow basic"])
def test_particles_end_up_farther_from_each_other(probe, kind):
    distances = probe["particles"]["distances"]
    assert distances[f"{kind} latent"] > 1.3 * distances[f"{kind} plain"]


def test_pixel_features_work_and_micro_batches_change_nothing(probe):
    particles = probe["particles"]
    assert particles["distances"]["edm pixel"] > 1.3 * particles["distances"]["edm plain"]
    assert particles["micro batches"] < 1e-3


def test_a_nan_item_stays_alone(probe):
    difference, any_finite = probe["particles"]["nan stays alone"]
    assert difference < 1e-4
    assert not any_finite


def test_every_kind_of_sampler_works_with_all_guiders_at_once(probe):
    assert len(probe["samplers"]) == 14
    assert [case for case, finite in probe["samplers"].items() if not finite] == []


def test_dino_is_read_from_the_models_folder_and_its_absence_is_said_once(probe):
    dino = probe["dino"]
    assert dino["without weights is latent"]
    assert dino["with weights is another"]
    missing = [line for line in dino["said"] if "are not here" in line]
    assert len(missing) == 1
    assert "models/dino" in missing[0]


@pytest.mark.parametrize("form", ["matched", "flow"])
def test_the_measurement_is_explained_almost_to_its_noise(probe, form):
    likelihood = probe["likelihood"]
    assert min(likelihood["residuals"]["plain"]) > 10 * likelihood["floor"]
    assert max(likelihood["residuals"][form]) < 4 * likelihood["floor"]


def test_dps_lowers_the_residual(probe):
    residuals = probe["likelihood"]["residuals"]
    assert max(residuals["dps"]) < 0.3 * min(residuals["plain"])


def test_the_residual_is_noted_per_item_and_call(probe):
    items, calls, falls = probe["likelihood"]["noted"]
    assert (items, calls) == (2, 12)
    assert falls


def test_weights_that_are_inference_tensors_give_the_same_result(probe):
    are_inference_tensors, difference = probe["likelihood"]["inference weights"]
    assert are_inference_tensors
    assert difference == 0


def test_the_difference_quotient_is_the_models_jacobian(probe):
    """Along random directions, the hardest ones: a real network's Jacobian is only nearly symmetric."""
    for sigma, (cosine, smallest, largest) in probe["jacobian"].items():
        assert cosine > 0.8, f"sigma {sigma}"
        assert smallest > 0.85, f"sigma {sigma}"
        assert largest < 1.15, f"sigma {sigma}"


def test_watching_changes_nothing_and_notes_every_call(probe):
    norms = probe["norms"]
    assert norms["same"]
    assert norms["calls"] == 6
    assert norms["items"] == [3, 3, 3, 3]
    assert norms["guidance is five gaps"] < 1e-4  # CFG 6: guided - cond = 5 (cond - uncond)
    assert norms["basic has no gap"] == [[], 3]
    assert norms["defaults"]


def test_outside_the_interval_there_is_no_guidance_and_no_negative(probe):
    assert probe["norms"]["outside the interval"]
    assert probe["norms"]["no gap outside"]


def test_clamp_shortens_the_guidance(probe):
    assert probe["norms"]["clamp"]


def test_post_cfg_hooks_are_called_with_everything(probe):
    hooks = probe["hooks"]
    assert {"cond", "uncond", "cond_denoised", "uncond_denoised", "denoised", "model_options"} <= set(
        hooks["arguments"]
    )
    assert hooks["model"] == 2  # the prediction, and the one for the difference quotient
    assert hooks["sampler"] == 1  # a CFG++ sampler must not hear of the second
    assert hooks["x"]


def test_what_the_caller_handed_over_is_as_it_was(probe):
    callers = probe["callers"]
    assert callers["guider"]
    assert callers["tensors"]
    assert callers["random state"]
    assert callers["released"] == [True, True]
    assert callers["again"]


def test_a_mask_is_honoured(probe):
    assert probe["callers"]["kept part"] < 1e-5
    assert probe["callers"]["new part"] > 0.1


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ("size", "the latent decodes to 32×32, but the measurement is of an image of 64×64"),
        ("kind", "guider is of type object, which is not built on ComfyUI's CFGGuider"),
        ("twice", "this guider is a NormGuider already"),
        ("vae", "feature_space is pixel, which needs decoded images; connect the vae"),
        ("space", "feature_space is 'clip'; choose one of latent, pixel, dino"),
    ],
)
def test_wrong_inputs_are_refused_in_one_sentence(probe, case, sentence):
    assert sentence in probe["refused"][case]


# --------------------------------------------------------------------------------------------------- the running server


def _graph(guider: str, steps: int = 6, parameterization: str = "edm", count: int = 3) -> dict:
    """Sampling by the node ``guider`` (its id in the graph), with everything that the guiders below may want."""
    return {
        "prior": {"class_type": "SamplerLabLoadEmojiPrior", "inputs": {"parameterization": parameterization}},
        "face": {"class_type": "SamplerLabEmojiPrompt", "inputs": {"class_name": "face"}},
        "none": {"class_type": "SamplerLabEmojiPrompt", "inputs": {"class_name": "none"}},
        "cfg": {
            "class_type": "CFGGuider",
            "inputs": {"model": ["prior", 0], "positive": ["face", 0], "negative": ["none", 0], "cfg": 2.0},
        },
        "noise": {"class_type": "RandomNoise", "inputs": {"noise_seed": 3}},
        "sampler": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
        "sigmas": {
            "class_type": "BasicScheduler",
            "inputs": {"model": ["prior", 0], "scheduler": "simple", "steps": steps, "denoise": 1.0},
        },
        "latent": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": count}},
        "sampling": {
            "class_type": "SamplerCustomAdvanced",
            "inputs": {
                "noise": ["noise", 0],
                "guider": [guider, 0],
                "sampler": ["sampler", 0],
                "sigmas": ["sigmas", 0],
                "latent_image": ["latent", 0],
            },
        },
        "save": {"class_type": "SaveLatent", "inputs": {"samples": ["sampling", 0], "filename_prefix": "guiders"}},
    }


def _particles(strength: float, guider: str = "cfg", **changes: object) -> dict:
    inputs = {"guider": [guider, 0], "strength": strength, "feature_space": "latent", "sigma_break": 0.3}
    return {"class_type": "SamplerLabParticleGuider", "inputs": inputs | changes}


def _norms(guider: str = "cfg", **changes: object) -> dict:
    inputs = {"guider": [guider, 0], "rescale": 0.0, "clamp": 0.0, "start_percent": 0.0, "end_percent": 1.0}
    return {"class_type": "SamplerLabNormGuider", "inputs": inputs | changes}


def _likelihood(graph: dict, guider: str = "cfg", **changes: object) -> dict:
    """The node; what it measures is added to ``graph``."""
    graph["picture"] = {"class_type": "SamplerLabEmojiPicture", "inputs": {"name": "donkey"}}
    graph["operator"] = {
        "class_type": "SamplerLabPhaseRetrieval",
        "inputs": {
            "preset": "custom",
            "oversample": 2.0,
            "noise_sigma": 0.05,
            "signal_range": "0..1",
            "clip_negative": True,
            "kind": "amplitude",
        },
    }
    graph["measure"] = {
        "class_type": "SamplerLabMeasure",
        "inputs": {"operator": ["operator", 0], "image": ["picture", 0], "seed": 1},
    }
    inputs = {
        "guider": [guider, 0],
        "measurement": ["measure", 0],
        "vae": ["prior", 1],
        "weight": 1.0,
        "form": "matched",
    }
    return {"class_type": "SamplerLabLikelihoodGuider", "inputs": inputs | changes}


def _latents(client, graph: dict) -> torch.Tensor:
    (file,) = client.run(graph, timeout=300).outputs["save"]["latents"]
    return load(client.view(file))["latent_tensor"]


def _mean_distance(latents: torch.Tensor) -> float:
    return torch.pdist(latents.flatten(1)).mean().item()


def test_the_nodes_are_complete(object_info):
    for name in NODES:
        node = object_info[name]
        assert node["category"] == "sampler lab/guiders"
        assert node["description"]
        assert node["search_aliases"]
        assert all(node["output_tooltips"])
        assert (ROOT / "web" / "docs" / name / "en.md").is_file()
        declared = {**node["input"]["required"], **node["input"].get("optional", {})}
        assert all(options["tooltip"] for _, options in declared.values())


@pytest.mark.parametrize("parameterization", ["edm", "flow"])
def test_nodes_at_zero_strength_give_the_latents_of_cfgguider(client, parameterization):
    plain = _graph("cfg", parameterization=parameterization)
    stacked = _graph("likelihood", parameterization=parameterization)
    stacked["particles"] = _particles(0.0)
    stacked["norms"] = _norms("particles")
    stacked["likelihood"] = _likelihood(stacked, "norms", weight=0.0)
    assert torch.equal(_latents(client, stacked), _latents(client, plain))


def test_the_particle_guider_makes_a_batch_diverse(client):
    diverse = _graph("particles")
    diverse["particles"] = _particles(0.05)
    assert _mean_distance(_latents(client, diverse)) > 1.2 * _mean_distance(_latents(client, _graph("cfg")))


def test_the_likelihood_guider_under_the_executors_inference_mode(client):
    graph = _graph("likelihood", steps=12, count=2)
    graph["likelihood"] = _likelihood(graph)
    graph["plot"] = {
        "class_type": "SamplerLabPlotGuidance",
        "inputs": {"record": ["likelihood", 1], "latent": ["sampling", 0]},
    }
    graph["table"] = {"class_type": "PreviewAny", "inputs": {"source": ["plot", 1]}}
    result = client.run(graph, timeout=300)
    rows = list(csv.DictReader(StringIO(result.outputs["table"]["text"][0])))
    assert [float(row["sigma"]) for row in rows] == sorted((float(row["sigma"]) for row in rows), reverse=True)
    assert len(rows) == 12
    for item in ("residual_0", "residual_1"):
        assert float(rows[-1][item]) < 0.1 * float(rows[0][item])
    (file,) = result.files("SamplerLabPlotGuidance")
    assert Image.open(BytesIO(client.view(file))).width == ON_A_NODE["width"] * ON_A_NODE["scale"]


def _plot(graph: dict, sampling: str, output: int = 0, **inputs: object) -> None:
    """The nodes "plot" and "table", of the latents of ``sampling``."""
    graph["plot"] = {"class_type": "SamplerLabPlotGuidance", "inputs": {"latent": [sampling, output], **inputs}}
    graph["table"] = {"class_type": "PreviewAny", "inputs": {"source": ["plot", 1]}}


def _calls(client, graph: dict) -> int:
    return len(client.run(graph, timeout=300).outputs["table"]["text"][0].splitlines()) - 1


@pytest.mark.parametrize("link", [{}, {"record": ["norms", 1]}], ids=["latent alone", "with the record"])
def test_a_plot_tells_of_the_run_that_made_its_latents(client, link):
    """Two samplers share a guider and run one after the other; the host keeps all of it in its cache."""
    graph = _graph("norms", steps=4)
    graph["norms"] = _norms(clamp=0.25 if link else 0.5)
    _plot(graph, "sampling", **link)
    assert _calls(client, graph) == 4
    graph["more"] = {
        "class_type": "BasicScheduler",
        "inputs": {"model": ["prior", 0], "scheduler": "simple", "steps": 6, "denoise": 1.0},
    }
    graph["again"] = {
        "class_type": "SamplerCustomAdvanced",
        "inputs": graph["sampling"]["inputs"] | {"sigmas": ["more", 0]},
    }
    _plot(graph, "again", **link)
    assert _calls(client, graph) == 6
    _plot(graph, "sampling", **link)
    assert _calls(client, graph) == 4  # whose run was not the guider's last


def test_a_plot_shows_every_guider_of_the_run(client):
    graph = _graph("particles", steps=4)
    graph["norms"] = _norms()
    graph["particles"] = _particles(0.05, "norms")
    _plot(graph, "sampling")
    text = client.run(graph, timeout=300).outputs["table"]["text"][0]
    norms, particles = (list(csv.DictReader(StringIO(part))) for part in text.split("\n\n"))
    assert len(norms) == 4
    assert norms[0].keys() >= {"gap_0", "guidance_2", "denoised_1", "direction_0"}
    assert particles[0].keys() == {"call", "sigma", "distance", "strength"}


@pytest.mark.parametrize(("node", "output"), [("latent", 0), ("sampling", 1)])
def test_latents_without_a_record_are_refused_with_what_to_connect(client, node, output):
    graph = _graph("norms", steps=4)
    graph["norms"] = _norms()
    _plot(graph, node, output)
    with pytest.raises(
        RunFailed, match="latent carries no record; connect the first output of a Sampler"
    ):
        client.run(graph, timeout=120)
    graph["plot"]["inputs"]["record"] = ["norms", 1]  # as graphs of the first releases have it
    assert client.run(graph, timeout=120).files("SamplerLabPlotGuidance")


def test_cancel_stops_a_guider_and_the_next_run_works(client):
    graph = _graph("likelihood", steps=10_000, count=2)
    graph["likelihood"] = _likelihood(graph, covariance="difference")
    steps = []

    def cancel_once(progress):
        if progress.node_type == "SamplerCustomAdvanced" and progress.value:
            steps.append(progress.value)
            if len(steps) == 1:
                client.interrupt()

    with pytest.raises(RunInterrupted):
        client.run(graph, on_progress=cancel_once, timeout=300)
    assert 0 < steps[-1] < 5000
    assert torch.isfinite(_latents(client, _graph("cfg"))).all()


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        (_particles(0.05, sigma_break=20.0), "sigma_top is 10; it must be larger than sigma_break, which is 20"),
        (_particles(0.05, feature_space="pixel"), "connect the vae"),
        (_norms(start_percent=0.6, end_percent=0.4), "the start before the end"),
    ],
)
def test_nodes_refuse_what_does_not_fit(client, node, sentence):
    graph = _graph("wrong")
    graph["wrong"] = node
    with pytest.raises(RunFailed, match=sentence):
        client.run(graph, timeout=120)
