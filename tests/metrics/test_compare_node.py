"""Compare To Reference in the running host: its outputs, its file, its sentences, and its table in the editor."""

from __future__ import annotations

import pytest
from sampler_lab.instruments.record import load_metrics
from sampler_lab.labkit.outcome import RunFailed
from sampler_lab.priors.held_out import list_glyphs

pytestmark = pytest.mark.host

NODE = "SamplerLabCompareToReference"


def graph(prefix, particles="4"):
    """A glyph, its twin turned by 180° and a flat image, compared with the glyph."""
    return {
        "1": {"class_type": "SamplerLabEmojiPicture", "inputs": {"name": list_glyphs()[0].name}},
        "2": {"class_type": "ImageRotate", "inputs": {"image": ["1", 0], "rotation": "180 degrees"}},
        "3": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0x808080}},
        "4": {"class_type": "ImageBatch", "inputs": {"image1": ["3", 0], "image2": ["2", 0]}},
        "5": {"class_type": "SamplerLabPhaseRetrieval", "inputs": phase_retrieval()},
        "6": {"class_type": "SamplerLabMeasure", "inputs": {"operator": ["5", 0], "image": ["1", 0], "seed": 3}},
        "7": {
            "class_type": NODE,
            "inputs": {
                "particles": [particles, 0],
                "reference": ["1", 0],
                "measurement": ["6", 0],
                "filename_prefix": prefix,
            },
        },
    }


def phase_retrieval():
    return {"preset": "custom", "oversample": 2.0, "noise_sigma": 0.05, "signal_range": "0..1"} | {
        "clip_negative": True,
        "kind": "amplitude",
    }


def with_sampling(prefix):
    """The same comparison at the end of a very short LatentDAPS run."""
    nodes = graph("unused", particles="16")
    nodes["7"]["inputs"]["run"] = ["14", 1]
    return nodes | {
        "10": {"class_type": "SamplerLabLoadEmojiPrior", "inputs": {"parameterization": "edm"}},
        "11": {"class_type": "SamplerLabEmojiPrompt", "inputs": {"class_name": "none"}},
        "12": {"class_type": "BasicGuider", "inputs": {"model": ["10", 0], "conditioning": ["11", 0]}},
        "13": {
            "class_type": "SamplerLabAnnealingScheduler",
            "inputs": {"steps": 3, "sigma_max": 10.0, "sigma_min": 0.1, "rho": 7.0},
        },
        "14": {
            "class_type": "SamplerLabLatentDAPS",
            "inputs": {
                "measurement": ["6", 0],
                "vae": ["10", 1],
                "preset": "emoji_langevin",
                "measurement_weight": 1.0,
                "mcmc_steps": 2,
                "metrics_prefix": prefix,
            },
        },
        "17": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 2, "color": 0}},
        "18": {"class_type": "VAEEncode", "inputs": {"pixels": ["17", 0], "vae": ["10", 1]}},
        "19": {"class_type": "RandomNoise", "inputs": {"noise_seed": 5}},
        "15": {
            "class_type": "SamplerCustomAdvanced",
            "inputs": {
                "noise": ["19", 0],
                "guider": ["12", 0],
                "sampler": ["14", 0],
                "sigmas": ["13", 0],
                "latent_image": ["18", 0],
            },
        },
        "16": {"class_type": "VAEDecode", "inputs": {"samples": ["15", 0], "vae": ["10", 1]}},
    }


def files(server, prefix):
    return sorted((server.base / "output").glob(f"{prefix}_*/metrics.json"))


def test_its_table_is_shown_and_written(client, server):
    result = client.run(graph("compare/alone"), timeout=120)
    (written,) = files(server, "compare/alone")
    metrics = load_metrics(written)
    assert metrics["status"] == "finished"
    assert metrics["versions"]["comfyui"]
    assert metrics["measurement"]["operator"]["operator"] == "phase_retrieval"
    (table,) = metrics["quality"]
    flat, twin = table["particles"]
    assert (table["oracle"], table["blind"]) == (1, 1)
    assert twin["symmetry"].startswith("rot180")
    assert twin["aligned"]["psnr"] is None or twin["aligned"]["psnr"] > 60  # equal, up to 8 bits
    assert twin["success"]
    assert 0.8 < twin["residual_ratio"] < 1.2
    assert not flat["success"]
    assert flat["residual_ratio"] > 2
    report = result.outputs["7"]["text"][0]
    assert "| particle | PSNR raw |" in report
    assert f"output/compare/{written.parent.name}/metrics.json" in report


def test_every_run_writes_a_file_of_its_own_and_an_empty_prefix_writes_none(client, server):
    before = set((server.base / "output").rglob("*.json"))
    nodes = graph("compare/counted")
    client.run(nodes, timeout=120)
    nodes["6"]["inputs"]["seed"] = 4
    client.run(nodes, timeout=120)
    assert len(files(server, "compare/counted")) == 2
    nodes["7"]["inputs"]["filename_prefix"] = ""
    client.run(nodes, timeout=120)
    assert set((server.base / "output").rglob("*.json")) - before == set(files(server, "compare/counted"))


def test_a_connected_run_is_completed_with_the_table(client, server):
    client.run(with_sampling("compare/run"), timeout=300)
    (written,) = files(server, "compare/run")
    metrics = load_metrics(written)
    assert metrics["status"] == "finished"
    assert (metrics["seed"], metrics["particles"], len(metrics["sigmas"])) == (5, 2, 4)
    assert len(metrics["steps"]) == 3
    assert all(len(step["residual"]) == 2 for step in metrics["steps"])
    phase = metrics["phases"][0]
    assert phase["peak_memory_bytes"] > 0
    assert phase["calls"]["decoder_backward"] == 3 * 2 * 2  # annealing steps × chain steps × particles
    (table,) = metrics["quality"]
    assert len(table["particles"]) == 2
    assert table["blind"] == min((0, 1), key=lambda k: table["particles"][k]["residual"])
    assert not files(server, "unused")
    # The residuals of the table are those by which the run itself, and its live view, chose.
    final = metrics["final"]
    assert [row["residual"] for row in table["particles"]] == pytest.approx(final["residual"], rel=1e-6)
    assert (table["blind"], final["particles"]) == (final["blind"], [0, 1])
    assert not any("computed anew" in note for note in table["notes"])
    assert len(table["reference_sha256"]) == len(metrics["measurement"]["sha256"]) == 64
    assert metrics["model"]
    assert (metrics["experiment"], metrics["picture"]) == (None, None)


def test_images_that_are_not_the_run_s_are_measured_anew_and_it_is_said(client, server):
    nodes = with_sampling("compare/changed")
    nodes["20"] = {"class_type": "ImageInvert", "inputs": {"image": ["16", 0]}}
    nodes["7"]["inputs"]["particles"] = ["20", 0]
    report = client.run(nodes, timeout=300).outputs["7"]["text"][0]
    assert "These images are not what the run returned: their residuals were computed anew." in report
    (written,) = files(server, "compare/changed")
    metrics = load_metrics(written)
    (table,) = metrics["quality"]
    assert [row["residual"] for row in table["particles"]] != pytest.approx(metrics["final"]["residual"], rel=0.01)


def test_the_names_of_an_experiment_come_with_the_prompt(client, server):
    about = {"experiment": "exp7", "picture": "owl"}
    client.run(with_sampling("compare/named"), timeout=300, about=about)
    (written,) = files(server, "compare/named")
    metrics = load_metrics(written)
    assert {key: metrics[key] for key in about} == about


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"3": {"width": 32}, "4": None}, "resize or crop the reference"),
        ({"7": {"reference": ["4", 0]}}, "the reference holds 2 images, but a measurement is of one"),
        ({"7": {"filename_prefix": "../outside"}}, "leads out of the output folder"),
    ],
)
def test_says_what_is_wrong(client, change, sentence):
    nodes = graph("compare/refused")
    for node, inputs in change.items():
        if inputs is None:
            nodes["7"]["inputs"]["particles"] = ["3", 0]
        else:
            nodes[node]["inputs"].update(inputs)
    with pytest.raises(RunFailed, match=sentence):
        client.run(nodes, timeout=120)


@pytest.mark.browser
def test_the_editor_shows_the_table_on_the_node(page):
    """The same numbers as the report, as a table, on the node that computed it."""
    # The editor opens a first workflow when it is done with itself; ours must come after it.
    page.wait_for_function("() => window.app.extensionManager?.workflow?.activeWorkflow")
    page.evaluate("graph => window.app.loadApiJson(graph, 'compare')", graph("compare/editor"))
    page.evaluate("() => window.app.queuePrompt(0)")
    report = page.locator(".sampler-lab-report")
    # Attached rather than visible: the editor hides what lies outside its window.
    report.locator("table").wait_for(state="attached", timeout=60_000)
    rows = report.locator("tr").evaluate_all("rows => rows.map(row => [...row.cells].map(cell => cell.textContent))")
    (shown,) = page.evaluate("() => Object.values(window.app.nodeOutputs).map(output => output.text[0])")
    expected = [line for line in shown.splitlines() if line.startswith("| ") and "---" not in line]
    assert [f"| {' | '.join(row)} |" for row in rows] == expected
    assert len(rows) == 3
    assert "Chosen blind (by residual): particle 1" in report.text_content()
    assert [error for error in page.console_errors if "sampler" in error.lower()] == []
