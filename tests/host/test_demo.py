"""``lab.py demo`` after the set-up: the shipped template, with few steps, on a running host."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from sampler_lab.host.notices import KEY
from sampler_lab.labkit.client import Client
from sampler_lab.labkit.console import Console
from sampler_lab.labkit.demo import run_demo, with_picture
from sampler_lab.labkit.errors import LabError
from sampler_lab.labkit.link import link_folder
from sampler_lab.labkit.outcome import NOTICES
from sampler_lab.labkit.places import LATENT_DAPS_TEMPLATE, MAIN_TEMPLATE, PACK_NAME, ROOT
from sampler_lab.labkit.server import Server, make_base

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """The template with four attempts instead of sixteen."""
    workflow = json.loads(MAIN_TEMPLATE.read_text(encoding="utf-8"))
    (sampler,) = [node for node in workflow["nodes"] if node["type"] == "SamplerLabPhaseRetrievalSampler"]
    names = [item["name"] for item in sampler["inputs"] if item.get("widget")]
    sampler["widgets_values"][names.index("effort")] = 4
    path = tmp_path_factory.mktemp("template") / "short.json"
    path.write_text(json.dumps(workflow), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def host(comfyui, tmp_path_factory):
    """A host that writes where the demo wants it, as ``lab.py demo`` starts one."""
    base = make_base(tmp_path_factory.mktemp("demo"))
    link_folder(ROOT, base / "custom_nodes" / PACK_NAME)
    with Server(comfyui, base=base, output=base / "results") as running:
        yield running


@pytest.fixture
def results(host):
    """The host's output folder, empty at first."""
    import shutil

    shutil.rmtree(host.output, ignore_errors=True)
    host.output.mkdir()
    return host.output


def test_the_demo_leaves_pictures_plots_a_record_and_a_table(host, results, template):
    said = io.StringIO()
    run_demo(Console(said), host, Path(sys.executable), results, template=template)

    metrics = json.loads((results / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["status"] == "finished"
    assert metrics["particles"] == 4
    for name in ("residuals.png", "overview.png"):
        assert (results / name).read_bytes().startswith(b"\x89PNG")
    pictures = list(results.rglob("*.png"))
    assert len(pictures) >= 2 + len(metrics["final"]["particles"])
    text = said.getvalue()
    assert all(path.name in text for path in pictures), "the person is told where everything is"
    blind = metrics["quality"][0]["blind"]
    row = next(line for line in text.splitlines() if line.startswith(f"{blind} "))
    chosen = next(each for each in metrics["quality"][0]["particles"] if each["particle"] == blind)
    assert f"{chosen['aligned']['psnr']:.1f}" in row
    assert "blind" in row


def test_what_the_nodes_have_to_say_is_printed(host, results, tmp_path):
    """The words of the editor's labels, with the title of the node that would show them."""
    workflow = json.loads(LATENT_DAPS_TEMPLATE.read_text(encoding="utf-8"))
    (annealing,) = [node for node in workflow["nodes"] if node["type"] == "SamplerLabAnnealingScheduler"]
    annealing["widgets_values"][0] = 3
    (daps,) = [node for node in workflow["nodes"] if node["type"] == "SamplerLabLatentDAPS"]
    names = [item["name"] for item in daps["inputs"] if item.get("widget")]
    daps["widgets_values"][names.index("step_size")] = 1.0
    (tmp_path / "diverges.json").write_text(json.dumps(workflow), encoding="utf-8")
    said = io.StringIO()
    run_demo(Console(said), host, Path(sys.executable), results, template=tmp_path / "diverges.json")
    (line,) = [line for line in said.getvalue().splitlines() if "step_size" in line]
    assert line.startswith(f"Warning ({daps.get('title', 'LatentDAPS Sampler')}): ")
    assert KEY == NOTICES


def test_a_picture_of_ones_own_is_measured_instead(host, results, template, tmp_path):
    """The measured picture is the file's, cut to a square: a red one gives red previews."""
    client = Client(host.url)
    red = {"class_type": "EmptyImage", "inputs": {"width": 300, "height": 200, "batch_size": 1, "color": 0xFF0000}}
    save = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "red"}}
    made = client.view(client.run({"1": red, "2": save}, timeout=60).files()[0])
    (tmp_path / "my picture.png").write_bytes(made)

    run_demo(Console(io.StringIO()), host, Path(sys.executable), results, tmp_path / "my picture.png", template)
    from matplotlib import pyplot as plt

    (shown,) = results.glob("PreviewImage_*.png")
    pixels = plt.imread(shown)[..., :3]
    assert pixels.shape == (64, 64, 3)
    assert abs(pixels - [1.0, 0.0, 0.0]).max() < 0.01


def test_the_template_scales_whatever_picture_it_is_given(object_info):
    from sampler_lab.labkit.workflow import to_api

    workflow = json.loads(MAIN_TEMPLATE.read_text(encoding="utf-8"))
    prompt = to_api(workflow, object_info)
    changed = with_picture(prompt, "mine.png")
    (loader,) = [key for key, node in changed.items() if node["class_type"] == "LoadImage"]
    users = [node for node in changed.values() if [loader, 0] in node["inputs"].values()]
    assert users
    assert all(node["class_type"] == "ImageScale" for node in users)
    classes = [node["inputs"] for node in changed.values() if node["class_type"] == "SamplerLabEmojiPrompt"]
    assert classes == [{"class_name": "none"}]
    assert prompt == to_api(workflow, object_info), "the graph that was given stays as it was"


def test_a_template_without_an_emoji_cannot_take_a_picture():
    with pytest.raises(LabError, match="no SamplerLabEmojiPicture node"):
        with_picture({"1": {"class_type": "EmptyImage", "inputs": {}}}, "mine.png")
