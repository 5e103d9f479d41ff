"""The measurement nodes in a running host: simulate, show, save, load back; a detector's file; refusals; the editor."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from editor import not_of_the_editor
from inside_host import found_by
from operator_problems import picture
from PIL import Image
from sampler_lab.labkit.outcome import PromptRefused, RunFailed, RunInterrupted
from sampler_lab.operators import OPERATORS, GaussianNoise, PhaseRetrieval
from sampler_lab.operators.files import load_measurement, save_measurement
from sampler_lab.operators.preview import preview
from scipy.io import savemat

pytestmark = pytest.mark.host

NODES = (
    "SamplerLabPhaseRetrieval",
    "SamplerLabMeasure",
    "SamplerLabLoadMeasurement",
    "SamplerLabSaveMeasurement",
    "SamplerLabPreviewMeasurement",
)
OPERATOR = {
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


def png(image: torch.Tensor) -> bytes:
    pixels = ((image[0].movedim(0, -1) + 1) * 127.5).round().byte().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def photograph(client, tmp_path):
    """A picture in the host's input folder: its name there, and what LoadImage makes of it in [-1, 1]."""
    path = tmp_path / "measured_picture.png"
    path.write_bytes(png(picture(1, 32, 24)))
    pixels = torch.from_numpy(np.array(Image.open(path)).astype(np.float32) / 255.0)
    return client.upload_image(path), pixels.movedim(-1, 0)[None] * 2 - 1


def simulate(name, seed=11, **operator):
    return {
        "1": {**OPERATOR, "inputs": {**OPERATOR["inputs"], **operator}},
        "2": {"class_type": "LoadImage", "inputs": {"image": name}},
        "3": {
            "class_type": "SamplerLabMeasure",
            "inputs": {"operator": ["1", 0], "image": ["2", 0], "seed": seed},
        },
        "4": {"class_type": "SamplerLabPreviewMeasurement", "inputs": {"measurement": ["3", 0], "decades": 3.0}},
    }


def saving(graph, extension, prefix):
    inputs = {"measurement": ["3", 0], "filename_prefix": prefix, "format": extension}
    return {**graph, "5": {"class_type": "SamplerLabSaveMeasurement", "inputs": inputs}}


def loading(**inputs):
    return {
        "1": {"class_type": "SamplerLabLoadMeasurement", "inputs": inputs},
        "2": {"class_type": "SamplerLabPreviewMeasurement", "inputs": {"measurement": ["1", 0], "decades": 3.0}},
    }


def shown(client, result):
    (file,) = result.files("SamplerLabPreviewMeasurement")
    return np.array(Image.open(io.BytesIO(client.view(file)))).astype(int)


def as_shown(measurement):
    return (preview(measurement)[0].movedim(0, -1).numpy() * 255).astype(int)


@pytest.mark.parametrize("node", NODES)
def test_every_input_and_output_explains_itself(object_info, node):
    info = object_info[node]
    assert info["category"] == "sampler lab/measurement"
    assert info["search_aliases"]
    assert len(info["description"]) > 40
    inputs = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
    for name, (_, settings) in inputs.items():
        assert len(settings.get("tooltip", "")) > 10, name
    assert len(info["output_tooltips"]) == len(info["output"])
    assert all(info["output_tooltips"])


def test_a_simulated_measurement_is_the_librarys(client, photograph):
    """The node adds nothing: what the host shows is what the operator gives in plain Python, pixel by pixel."""
    name, image = photograph
    result = client.run(simulate(name), timeout=120)
    expected = PhaseRetrieval().measure(image, 11)
    assert np.abs(shown(client, result) - as_shown(expected)).max() <= 1


@pytest.mark.parametrize("extension", ["npz", "npy", "mat", "h5"])
def test_save_and_load(client, photograph, tmp_path, extension):
    name, image = photograph
    graph = saving(simulate(name), extension, f"measured/{extension}/first")
    client.run(graph, timeout=120)
    client.run(saving(simulate(name, seed=12), extension, f"measured/{extension}/first"), timeout=120)  # a new number
    for number, seed in ((1, 11), (2, 12)):
        file = f"measured/{extension}/first_{number:05}.{extension} [output]"
        result = client.run(loading(file=file), timeout=120)
        expected = as_shown(PhaseRetrieval().measure(image, seed))
        assert np.abs(shown(client, result) - expected).max() <= 1
    # The file itself, as the next program would read it.
    names = [f"first_00001.{extension}"] + (["first_00001.json"] if extension == "npy" else [])
    for part in names:
        content = client.view({"filename": part, "subfolder": f"measured/{extension}", "type": "output"})
        (tmp_path / part).write_bytes(content)
    back = load_measurement(tmp_path / names[0])
    assert back.operator == PhaseRetrieval()
    torch.testing.assert_close(back.y, PhaseRetrieval().measure(image, 11).y, rtol=0, atol=1e-5)


def test_a_file_of_ones_own(client, tmp_path):
    """Intensities in somebody's units, one channel, dead pixels as -1, zero frequency in the corner."""
    truth = PhaseRetrieval(channels="mean", noise=GaussianNoise(0.0)).measure(picture(1, 32, 32), 0)
    counts = (torch.fft.ifftshift(truth.y[0, 0], dim=(-2, -1)).square() * 1e4).numpy()
    counts[5, 7] = -1
    np.savez(tmp_path / "detector_counts.npz", frame=counts)
    name = client.upload_image(tmp_path / "detector_counts.npz")
    load = {"operator": ["3", 0], "values": "intensity", "scale": 0.01, "negative_is_dead": True}
    graph = {**loading(file=name, **load), "3": OPERATOR}
    graph["4"] = {"class_type": "EmptyLatentImage", "inputs": {"width": ["1", 1], "height": ["1", 2], "batch_size": 1}}
    seen = shown(client, client.run(graph, timeout=120))
    assert seen.shape == (48, 48, 3)
    expected = as_shown(truth)
    dead = (24 + 5, 24 + 7)
    assert seen[dead].tolist() == [255, 0, 255]
    seen[dead] = expected[dead]
    assert np.abs(seen - expected).max() <= 1


def test_a_file_that_changed_is_read_again(client, tmp_path):
    measurements = [PhaseRetrieval().measure(picture(1, 16, 16), seed) for seed in (1, 2)]
    pictures = []
    for measurement in measurements:
        save_measurement(measurement, tmp_path / "same_name.npz")
        name = client.upload_image(tmp_path / "same_name.npz", overwrite=True)
        pictures.append(shown(client, client.run(loading(file=name), timeout=120)))
    for seen, measurement in zip(pictures, measurements, strict=True):
        assert np.abs(seen - as_shown(measurement)).max() <= 1


def test_the_list_offers_measurements_and_nothing_else(client, tmp_path, photograph):
    np.save(tmp_path / "offered.npy", np.ones((4, 4)))
    name = client.upload_image(tmp_path / "offered.npy")
    options = client.object_info("SamplerLabLoadMeasurement")["SamplerLabLoadMeasurement"]["input"]["required"]["file"]
    offered = options[1]["options"] if isinstance(options[0], str) else options[0]
    assert name in offered
    assert photograph[0] not in offered


@pytest.mark.parametrize("name", ["not_there.npz", "../extra_model_paths.yaml", "/etc/hostname", ""])
def test_a_file_that_is_not_there_is_refused_before_anything_runs(client, name):
    with pytest.raises(PromptRefused, match=r"was not found; put it into ComfyUI's input folder"):
        client.queue(loading(file=name))


def test_numbers_are_still_checked_by_the_host(client, photograph, tmp_path):
    np.save(tmp_path / "checked.npy", np.ones((4, 4)))
    name = client.upload_image(tmp_path / "checked.npy")
    with pytest.raises(PromptRefused, match="smaller than min"):
        client.queue(loading(file=name, scale=-1.0))
    with pytest.raises(PromptRefused, match="not in"):
        client.queue(loading(file=name, values="phase"))
    with pytest.raises(PromptRefused, match="bigger than max"):
        client.queue(simulate(photograph[0], oversample=99.0))


def test_our_sentences_arrive(client, photograph, tmp_path):
    batch = simulate(photograph[0])
    batch["6"] = {"class_type": "RepeatImageBatch", "inputs": {"image": ["2", 0], "amount": 2}}
    batch["3"]["inputs"]["image"] = ["6", 0]
    with pytest.raises(RunFailed, match="image holds 2 images; a measurement is of one"):
        client.run(batch, timeout=120)
    np.savez(tmp_path / "two.npz", a=np.ones((4, 4)), b=np.ones((4, 4)))
    name = client.upload_image(tmp_path / "two.npz")
    with pytest.raises(RunFailed, match=r"'two.npz' does not say how it was recorded"):
        client.run(loading(file=name), timeout=120)
    with pytest.raises(RunFailed, match=r"'two.npz' holds several arrays; set array to one of a \[4, 4\], b \[4, 4\]"):
        client.run({**loading(file=name, operator=["3", 0]), "3": OPERATOR}, timeout=120)
    with pytest.raises(RunFailed, match=r"filename_prefix .* leads out of the output folder"):
        client.run(saving(simulate(photograph[0]), "npz", "../outside"), timeout=120)


def test_a_damaged_file_leaves_the_host_running(client, server, tmp_path):
    """One flipped bit of a .mat makes scipy crash; it took ComfyUI and its queue with it."""
    before = server.pid
    savemat(tmp_path / "flipped.mat", {"data": np.ones((3, 12, 12), np.float32)})
    content = bytearray((tmp_path / "flipped.mat").read_bytes())
    content[184] ^= 0x20
    (tmp_path / "flipped.mat").write_bytes(content)
    name = client.upload_image(tmp_path / "flipped.mat")
    with pytest.raises(RunFailed, match=r"'flipped.mat' "):
        client.run({**loading(file=name, operator=["3", 0]), "3": OPERATOR}, timeout=300)
    assert server.pid == before
    assert client.queue_state() == ([], [])


def readers_of(pid):
    """The reading processes that a host has started."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
                command = (folder / "cmdline").read_text()
            except (OSError, IndexError):  # it has ended meanwhile
                continue
            if parent == pid and "reader_process" in command:
                found.append(int(folder.name))
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc and signals")
def test_cancelling_ends_a_reading_that_hangs(client, server, photograph):
    client.run(saving(simulate(photograph[0]), "mat", "cancelled/file"), timeout=300)
    client.run(saving(simulate(photograph[0], seed=12), "mat", "cancelled/file"), timeout=300)
    client.run(loading(file="cancelled/file_00001.mat [output]"), timeout=300)
    (reader,) = readers_of(server.pid)
    os.kill(reader, signal.SIGSTOP)
    for attempt in range(20):  # a cancel that comes before the reading begins leaves the reader alone
        prompt = client.queue(loading(file="cancelled/file_00002.mat [output]"))
        while prompt not in client.queue_state()[0]:
            time.sleep(0.05)
        time.sleep(0.2 * attempt)
        client.interrupt()
        with pytest.raises(RunInterrupted):
            client.wait(prompt, timeout=300)
        if not readers_of(server.pid):
            break
    assert readers_of(server.pid) == []
    result = client.run(loading(file="cancelled/file_00002.mat [output]"), timeout=300)  # and the next one is read
    assert shown(client, result).shape == (48, 36, 3)


def test_any_operator_of_the_catalogue_can_have_a_node(comfyui):
    """Its inputs follow from its options; the camera without colours, which has no node in the editor, as one."""
    found = found_by("operator_nodes_probe.py", comfyui)
    assert set(found["inputs"]) == set(OPERATORS)
    for name, inputs in found["inputs"].items():
        assert inputs["same"], name
        assert inputs["untold"] == [], name
        assert {"noise", "noise_sigma", "clip_negative"} <= set(inputs["values"]), name
    assert found["inputs"]["grey"]["values"]["clip_negative"] is False
    assert found["grey"]["error"] < 1e-6
    assert found["grey"]["shown"] == [1, 8, 6, 3]
    assert found["grey"]["wrong"] == "noise is 'salt'; choose one of gaussian, poisson."


@pytest.mark.browser
def test_a_file_is_uploaded_from_the_node(page, client, tmp_path):
    """The button in the editor: the file arrives in the input folder, is chosen, and the graph runs with it."""
    measurement = PhaseRetrieval().measure(picture(1, 16, 16), 5)
    save_measurement(measurement, tmp_path / "from_the_editor.npz")
    page.console_errors.clear()  # what the editor said while it started is not about this node
    page.evaluate(
        """() => {
            window.app.graph.clear();
            const node = window.LiteGraph.createNode("SamplerLabLoadMeasurement");
            window.app.graph.add(node);
            window.labNode = node;
        }"""
    )
    with page.expect_file_chooser() as chooser:
        page.evaluate("() => window.labNode.widgets.find((w) => w.type === 'button').callback()")
    chooser.value.set_files(tmp_path / "from_the_editor.npz")
    page.wait_for_function(
        "() => window.labNode.widgets.find((w) => w.name === 'file').value === 'from_the_editor.npz'", timeout=10_000
    )
    prompt = page.evaluate("async () => (await window.app.graphToPrompt()).output")
    (load,) = prompt.values()
    assert load["inputs"]["file"] == "from_the_editor.npz"
    assert load["inputs"]["scale"] == 1  # the button did not shift the values
    result = client.run({**loading(), "1": load}, timeout=120)
    assert np.abs(shown(client, result) - as_shown(measurement)).max() <= 1
    assert not_of_the_editor(page.console_errors) == []
