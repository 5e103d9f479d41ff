"""LatentDAPS in the running host: gradients under inference mode, every parameterization, masks, cancel, refusals."""

from __future__ import annotations

import copy
import json
import re
import threading
import time
from io import BytesIO
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from operator_problems import picture
from PIL import Image, ImageChops
from sampler_lab.instruments.record import load_metrics
from sampler_lab.labkit.outcome import PromptRefused, RunFailed, RunInterrupted
from sampler_lab.labkit.places import LATENT_DAPS_TEMPLATE
from sampler_lab.labkit.workflow import to_api
from sampler_lab.operators import PhaseRetrieval
from sampler_lab.schedulers import poly_rho

pytestmark = pytest.mark.host

TEMPLATE = LATENT_DAPS_TEMPLATE


@pytest.fixture
def graph(object_info):
    """The template as an API graph, cut to a size that runs in seconds; change it by :func:`set_input`."""
    prompt = to_api(json.loads(TEMPLATE.read_text(encoding="utf-8")), object_info)
    set_input(prompt, "SamplerLabAnnealingScheduler", "steps", 4)
    set_input(prompt, "SamplerLabParticles", "particles", 2)
    set_input(prompt, "SamplerLabLatentDAPS", "mcmc_steps", 3)
    return prompt


def only(prompt, node_type):
    (key,) = [key for key, node in prompt.items() if node["class_type"] == node_type]
    return key


def set_input(prompt, node_type, name, value):
    prompt[only(prompt, node_type)]["inputs"][name] = value


def record_of(server):
    """The newest record that a run of the server wrote."""
    files = (Path(server.base) / "output" / "sampler_lab").glob("run_*/metrics.json")
    return load_metrics(max(files, key=lambda path: path.stat().st_mtime_ns))


def without_reference(prompt):
    """The same graph without a comparison: it must work for a user who has no truth."""
    prompt = copy.deepcopy(prompt)
    decoded = only(prompt, "VAEDecode")
    for key in [key for key, node in prompt.items() if node["class_type"] in ("SaveImage",)]:
        prompt[key]["inputs"]["images"] = [decoded, 0]
    del prompt[only(prompt, "SamplerLabCompareToReference")]
    return prompt


def test_a_run_writes_what_it_did(client, server, graph):
    client.run(graph, timeout=300)
    facts = record_of(server)
    assert facts["status"] == "finished"
    calls = {"denoiser": 4 * 3 * 2, "decoder_forward": 4 * 4 * 2, "decoder_backward": 4 * 3 * 2, "encoder": 0}
    assert facts["calls"] == calls
    assert [len(step["residual"]) for step in facts["steps"]] == [2] * 4
    assert facts["seed"] == 42
    assert len(facts["sigmas"]) == 5
    assert facts["measurement"]["values"] == 3 * 96 * 96
    assert facts["options"]["data_step"]["steps"] == 3
    assert facts["versions"]["comfyui"] not in ("", "unknown")
    assert len(facts["quality"][0]["particles"]) == 2


def run_named_in(prompt):
    """The record's name that the graph of a prompt carries, as the host's history and its pictures have it."""
    return prompt[only(prompt, "SamplerLabLatentDAPS")]["_meta"]["sampler_lab_run"]


def test_the_prompt_says_its_run_and_the_run_its_prompt_and_pictures(client, server, graph):
    """Without a reference, and again with another seed, when the host has the sampler in its cache."""
    prompt = without_reference(graph)
    set_input(prompt, "SamplerLabLatentDAPS", "metrics_prefix", "sampler_lab/said/run")
    named = {}
    for seed in (21, 22):
        set_input(prompt, "RandomNoise", "noise_seed", seed)
        result = client.run(prompt, timeout=300)
        queued = client.history(result.prompt_id)["prompt"][2]
        name = named[seed] = run_named_in(queued)
        assert re.fullmatch(r"sampler_lab/said/run_\d{5}/metrics\.json", name)
        pictures = result.files("SaveImage")
        assert pictures
        for file in pictures:
            embedded = Image.open(BytesIO(client.view(file))).text["prompt"]
            assert run_named_in(json.loads(embedded)) == name
        facts = load_metrics(Path(server.base) / "output" / name)
        assert facts["seed"] == seed
        assert facts["prompt"] == {
            "id": result.prompt_id,
            "node": only(prompt, "SamplerLabLatentDAPS"),
            "workflow": None,
        }
        deadline = time.monotonic() + 60
        while "pictures" not in (facts := load_metrics(Path(server.base) / "output" / name)):
            assert time.monotonic() < deadline, "the record was never told which pictures were saved"
            time.sleep(0.1)
        assert sorted(facts["pictures"]) == sorted(f"{file['subfolder']}/{file['filename']}" for file in pictures)
    assert named[21] != named[22]
    for result_id, name in [(entry["prompt"][1], run) for entry, run in _said(client)]:
        assert load_metrics(Path(server.base) / "output" / name)["prompt"]["id"] == result_id


def _said(client):
    """Every prompt of the history whose graph names a run of this test: none may be told another prompt's run."""
    for entry in client._get("/history").values():
        for node in entry["prompt"][2].values():
            name = node.get("_meta", {}).get("sampler_lab_run", "")
            if name.startswith("sampler_lab/said/"):
                yield entry, name


def test_an_empty_prefix_names_no_run(client, graph):
    prompt = without_reference(graph)
    set_input(prompt, "SamplerLabLatentDAPS", "metrics_prefix", "")
    result = client.run(prompt, timeout=300)
    queued = client.history(result.prompt_id)["prompt"][2]
    assert "sampler_lab_run" not in json.dumps(queued)


def test_numbers_go_on_after_records_of_the_last_release(client, server, graph):
    folder = Path(server.base) / "output" / "sampler_lab" / "old"
    folder.mkdir(parents=True)
    (folder / "run_00003.json").write_text("{}")
    prompt = without_reference(graph)
    set_input(prompt, "SamplerLabLatentDAPS", "metrics_prefix", "sampler_lab/old/run")
    client.run(prompt, timeout=300)
    assert [path.name for path in sorted(folder.iterdir())] == ["run_00003.json", "run_00004"]


@pytest.mark.parametrize(("preset", "precision"), [("daps_official", "full"), ("hmc", "auto"), ("langevin", "auto")])
def test_published_presets_by_their_new_and_old_names(client, server, graph, preset, precision):
    """The official code's levels and decoder precision come with its preset; graphs with the old names still run."""
    official = preset == "daps_official"
    set_input(graph, "SamplerLabLatentDAPS", "preset", preset)
    set_input(graph, "SamplerLabAnnealingScheduler", "sigma_min", 0.1)
    if official:
        set_input(graph, "SamplerLabAnnealingScheduler", "drop_sigma_min", True)
    client.run(graph, timeout=300)
    facts = record_of(server)
    assert facts["options"]["precision"] == precision
    assert facts["options"]["data_step"]["gradient_clamp"] == 1.0
    levels = poly_rho(4, 0.1, facts["sigmas"][0], drop_sigma_min=official)
    assert facts["sigmas"] == pytest.approx(levels.tolist(), rel=1e-6)


def test_the_same_seed_gives_the_same_pictures_and_another_seed_others(client, graph):
    def pictures(seed):
        # Another metrics_prefix changes nothing but makes the host forget its cache of the run before.
        set_input(graph, "RandomNoise", "noise_seed", seed)
        set_input(graph, "SamplerLabLatentDAPS", "metrics_prefix", f"sampler_lab/seed{seed}_{time.monotonic_ns()}")
        files = client.run(graph, timeout=300).files("SaveImage")
        return [Image.open(BytesIO(client.view(file))).tobytes() for file in files]

    first = pictures(1)
    assert pictures(1) == first
    assert pictures(2) != first


def test_flow_and_edm_see_the_same_network(client, server, graph):
    """Mapped levels, same seed: the residuals agree closely, for the chain's noise is the same in both."""
    residuals = {}
    for kind in ("edm", "flow"):
        set_input(graph, "SamplerLabLoadEmojiPrior", "parameterization", kind)
        set_input(graph, "SamplerLabLatentDAPS", "precision", "full")
        client.run(graph, timeout=300)
        residuals[kind] = [step["residual"] for step in record_of(server)["steps"]]
    assert list(chain(*residuals["flow"])) == pytest.approx(list(chain(*residuals["edm"])), rel=0.02)


def test_a_flow_model_without_converted_levels_is_told_what_to_connect(client, graph):
    set_input(graph, "SamplerLabLoadEmojiPrior", "parameterization", "flow")
    del graph[only(graph, "SamplerLabAnnealingScheduler")]["inputs"]["model"]
    with pytest.raises(RunFailed, match="connect the model to the Annealing Scheduler"):
        client.run(graph, timeout=300)


def test_a_measurement_with_dead_pixels(client, server, graph, tmp_path):
    """From a detector's file; dead pixels count neither in the residual nor in the check at the end."""
    measure = only(graph, "SamplerLabMeasure")
    truth = PhaseRetrieval().measure(picture(1, 64, 64), 5)
    amplitudes = truth.y[0].numpy().copy()
    amplitudes[:, 40:44, 10:90] = -1  # a bar of the detector, in every colour
    np.savez(tmp_path / "dead_bar.npz", frame=amplitudes)
    inputs = {"values": "amplitude", "negative_is_dead": True}
    file = client.upload_image(tmp_path / "dead_bar.npz")
    operator = graph[measure]["inputs"]["operator"]
    graph[measure] = {
        "class_type": "SamplerLabLoadMeasurement",
        "inputs": {"file": file, "operator": operator, **inputs},
    }
    client.run(without_reference(graph), timeout=300)
    facts = record_of(server)
    assert facts["status"] == "finished"
    assert facts["measurement"]["values"] == 3 * (96 * 96 - 4 * 80)
    residuals = [value for step in facts["steps"] for value in step["residual"]]
    assert 0 < min(residuals) < max(residuals) < float("inf")


def test_weight_zero_decodes_for_the_record_only(client, server, graph):
    set_input(graph, "SamplerLabLatentDAPS", "measurement_weight", 0.0)
    client.run(graph, timeout=300)
    calls = {"denoiser": 4 * 3 * 2, "decoder_forward": 4 * 2, "decoder_backward": 0, "encoder": 0}
    assert record_of(server)["calls"] == calls


def test_no_reference_and_a_cfg_guider(client, graph):
    prompt = without_reference(graph)
    guider = only(prompt, "BasicGuider")
    inputs = prompt[guider]["inputs"]
    prompt["none"] = {"class_type": "SamplerLabEmojiPrompt", "inputs": {"class_name": "none"}}
    prompt[guider] = {
        "class_type": "CFGGuider",
        "inputs": {"model": inputs["model"], "positive": inputs["conditioning"], "negative": ["none", 0], "cfg": 1.5},
    }
    assert len(client.run(prompt, timeout=300).files("SaveImage")) == 4  # two Save Image nodes, two particles


@pytest.mark.parametrize("kind", ["edm", "flow"])
def test_what_an_inpainting_mask_keeps_comes_back_as_given(client, graph, kind):
    """Nothing is masked for denoising, so the picture must pass through every step unchanged, one row at a time too."""
    prompt = without_reference(graph)
    set_input(prompt, "SamplerLabLoadEmojiPrior", "parameterization", kind)
    set_input(prompt, "SamplerLabLatentDAPS", "micro_batch", 1)
    for key in [key for key, node in prompt.items() if node["class_type"] == "SaveImage"]:
        del prompt[key]
    vae = prompt[only(prompt, "VAEDecode")]["inputs"]["vae"]
    prompt |= {
        "glyph": {"class_type": "SamplerLabEmojiPicture", "inputs": {"name": "donkey"}},
        "given": {"class_type": "VAEEncode", "inputs": {"pixels": ["glyph", 0], "vae": vae}},
        "two": {"class_type": "RepeatLatentBatch", "inputs": {"samples": ["given", 0], "amount": 2}},
        "keep": {"class_type": "SolidMask", "inputs": {"value": 0.0, "width": 64, "height": 64}},
        "masked": {"class_type": "SetLatentNoiseMask", "inputs": {"samples": ["two", 0], "mask": ["keep", 0]}},
        "decoded": {"class_type": "VAEDecode", "inputs": {"samples": ["two", 0], "vae": vae}},
    }
    set_input(prompt, "SamplerCustomAdvanced", "latent_image", ["masked", 0])
    sampled = next(key for key, node in prompt.items() if node["class_type"] == "VAEDecode" and key != "decoded")
    for name, source in (("a", "decoded"), ("b", sampled)):
        prompt[name] = {"class_type": "SaveImage", "inputs": {"images": [source, 0], "filename_prefix": f"kept_{name}"}}
    files = client.run(prompt, timeout=300).files("SaveImage")
    given, kept = (
        [Image.open(BytesIO(client.view(file))) for file in files if file["filename"].startswith(f"kept_{name}")]
        for name in "ab"
    )
    assert len(given) == len(kept) == 2
    for one, other in zip(given, kept, strict=True):
        assert max(high for _, high in ImageChops.difference(one, other).getextrema()) <= 1


def test_cancel_in_the_middle_of_a_chain(client, server, graph):
    """One annealing step of a chain that would take hours: only an inner loop that listens can be cancelled."""
    set_input(graph, "SamplerLabAnnealingScheduler", "steps", 1)
    set_input(graph, "SamplerLabLatentDAPS", "mcmc_steps", 10_000)
    set_input(graph, "SamplerLabLatentDAPS", "metrics_prefix", "sampler_lab/cancelled")
    prompt_id = client.queue(graph)
    folder = Path(server.base) / "output" / "sampler_lab"
    deadline = time.monotonic() + 120
    while not list(folder.glob("cancelled_*/metrics.json")):
        assert time.monotonic() < deadline, "the run never started"
        time.sleep(0.1)
    threading.Timer(1.0, client.interrupt).start()
    with pytest.raises(RunInterrupted):
        client.wait(prompt_id, timeout=120)
    (path,) = folder.glob("cancelled_*/metrics.json")
    assert load_metrics(path)["status"] == "cancelled"


@pytest.mark.parametrize(
    ("node_type", "name", "value", "sentence"),
    [
        ("SamplerLabLatentDAPS", "preset", "fastest", "preset"),
        ("SamplerLabLatentDAPS", "measurement_weight", -1.0, "measurement_weight"),
        ("SamplerLabParticles", "particles", 0, "particles"),
        ("SamplerLabAnnealingScheduler", "steps", 0, "steps"),
    ],
)
def test_what_validation_can_see_is_refused_before_any_work(client, graph, node_type, name, value, sentence):
    set_input(graph, node_type, name, value)
    with pytest.raises(PromptRefused, match=sentence):
        client.queue(graph)


@pytest.mark.parametrize(
    ("node_type", "name", "value", "sentence"),
    [
        ("SamplerLabAnnealingScheduler", "sigma_min", 20.0, "0 < sigma_min < sigma_max"),
        ("SamplerLabLatentDAPS", "metrics_prefix", "../../elsewhere", "metrics_prefix .* leads out of the output"),
        ("ImageScale", "width", 62, "multiples of 16; resize or pad the picture to 64×64"),
    ],
)
def test_what_only_the_node_can_see_is_one_sentence(client, graph, node_type, name, value, sentence):
    set_input(graph, node_type, name, value)
    with pytest.raises(RunFailed, match=sentence):
        client.run(graph, timeout=300)


def test_a_latent_of_the_wrong_size_is_one_sentence(client, graph):
    graph["latent"] = {"class_type": "EmptyLatentImage", "inputs": {"width": 256, "height": 256, "batch_size": 1}}
    set_input(graph, "SamplerCustomAdvanced", "latent_image", ["latent", 0])
    with pytest.raises(RunFailed, match="take the latent from the Particles node"):
        client.run(graph, timeout=300)
