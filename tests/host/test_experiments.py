"""Experiments through the prompt queue of a real host: resumed, interrupted, with images that cannot be read."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from patience import eventually, patience
from PIL import Image
from recorded_runs import particle, write_experiment
from sampler_lab.experiments.catalogue import BASELINE, EXPERIMENTS
from sampler_lab.experiments.executors import PromptQueue
from sampler_lab.experiments.experiment import Experiment
from sampler_lab.experiments.graph import Template, load_template, prompt_of
from sampler_lab.experiments.known_names import KNOWN_NAMES, with_known_names
from sampler_lab.experiments.listing import option_lines
from sampler_lab.experiments.options import checked
from sampler_lab.experiments.pictures import Picture, emoji_pictures, folder_pictures
from sampler_lab.experiments.results import is_finished
from sampler_lab.experiments.runner import run_experiment
from sampler_lab.instruments.metrics_file import load_metrics
from sampler_lab.labkit import places
from sampler_lab.labkit.client import Client
from sampler_lab.labkit.console import Console
from sampler_lab.labkit.errors import LabError
from sampler_lab.labkit.link import link_folder
from sampler_lab.labkit.server import Server, make_base

pytestmark = pytest.mark.host

QUICK = {**BASELINE, "Particles.particles": 2, "AnnealingScheduler.steps": 3}


@pytest.fixture
def template(object_info):
    template = load_template(places.LATENT_DAPS_TEMPLATE, object_info)
    for node in template.graph.values():
        if node["class_type"] == "SamplerLabLatentDAPS":
            node["inputs"]["mcmc_steps"] = 1
    return template


def go(client, template, pictures, results, options=QUICK, name="quick", first=0):
    said = io.StringIO()
    queue = PromptQueue(client, template)
    outcome = run_experiment(Console(said), queue, Experiment(name, "?", options), pictures, results, first)
    return outcome, said.getvalue()


def start(*arguments):
    """The experiments' command in a process of its own, as ``lab.py experiment`` starts it."""
    code = (
        f"import sys; sys.path.insert(0, {str(places.ROOT)!r}); from lab import import_pack; import_pack(); "
        "from sampler_lab.experiments.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def call(*arguments):
    """The same, to its end."""
    with start(*arguments) as process:
        said, errors = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, said, errors)


def test_results_come_one_by_one_and_only_what_is_missing_is_done(client, template, tmp_path):
    pictures = emoji_pictures(3, 0)
    assert len({picture.label for picture in pictures}) == 3, "the first of every class come first"
    outcome, said = go(client, template, pictures[:2], tmp_path)
    assert (outcome.finished, outcome.skipped, outcome.failed, outcome.complete) == (2, 0, 0, True)
    assert "dB blind, aligned" in said
    home = tmp_path / "quick"
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*.*") if path.name != "experiment.json"}
    metrics = load_metrics(home / pictures[0].name / "metrics.json")
    assert (metrics["experiment"], metrics["picture"]) == ("quick", pictures[0].name)
    assert metrics["status"] == "finished"
    assert metrics["seed"] == 42
    assert {path.name for path in (home / pictures[0].name).iterdir()} == {
        *("metrics.json", "blind.png", "particles_0.png", "particles_1.png")
    }
    outcome, said = go(client, template, pictures, tmp_path)
    assert (outcome.finished, outcome.skipped) == (1, 2)
    assert "2 of 3 images are there already" in said
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert json.loads((home / "experiment.json").read_text())["images"] == [picture.name for picture in pictures]


def test_an_image_does_not_depend_on_how_the_set_was_split(client, template, tmp_path):
    whole, split = tmp_path / "whole", tmp_path / "split"
    go(client, template, emoji_pictures(2, 0), whole)
    second = emoji_pictures(1, 1)
    go(client, template, second, split, first=1)
    tables = [load_metrics(at / "quick" / second[0].name / "metrics.json")["quality"] for at in (whole, split)]
    assert tables[0] == tables[1]


def test_images_that_cannot_be_read_are_reported_and_the_rest_is_done(client, template, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    shutil.copy(places.ROOT / "priors" / "held_out" / "tiger-face.png", folder / "b tiger.png")
    (folder / "a broken.png").write_bytes(b"this is no picture")
    (folder / "notes.txt").write_text("not an image")
    outcome, said = go(client, template, folder_pictures(folder, None, 0), tmp_path)
    assert (outcome.failed, outcome.finished, outcome.complete) == (1, 1, False) or outcome.stopped
    home = tmp_path / "quick"
    assert (home / "a-broken" / "error.txt").read_text().strip()
    assert "failed" in said
    if outcome.stopped is None:
        assert is_finished(home / "b-tiger")
    # Mended, the same call does the rest, and the note of failure is gone.
    Image.new("RGB", (70, 50), (200, 30, 30)).save(folder / "a broken.png")
    outcome, _ = go(client, template, folder_pictures(folder, None, 0), tmp_path)
    assert outcome.complete
    assert is_finished(home / "a-broken")
    assert is_finished(home / "b-tiger")
    assert not (home / "a-broken" / "error.txt").exists()


def test_results_of_other_options_are_not_mixed(client, template, tmp_path):
    pictures = emoji_pictures(1, 0)
    go(client, template, pictures, tmp_path)
    with pytest.raises(LabError, match="holds results of other options"):
        go(client, template, pictures, tmp_path, {**QUICK, "Particles.particles": 3})


def test_every_part_reaches_the_graph(client, template, tmp_path):
    known = {"num_samples": 3, "repulsion_scale": 0.05, "pruning_step": 500, "pruning_keep": 1, "steps": 5}
    options = with_known_names(QUICK, {**known, "optimization_step": 400})
    go(client, template, emoji_pictures(1, 0), tmp_path, options)
    (file,) = (tmp_path / "quick").rglob("metrics.json")
    facts = load_metrics(file)
    assert facts["options"]["estimate"]["repulsion"]["strength"] == pytest.approx(0.05)
    assert facts["options"]["moves"]["pruning"]["progress"] == pytest.approx(0.5)
    assert facts["options"]["moves"]["hard_consistency"]["start"] == pytest.approx(0.6)
    assert [len(row["particles"]) for row in facts["steps"]] == [3, 3, 3, 1, 1]
    assert [bool(row.get("polish")) for row in facts["steps"]] == [False, False, True, True, True]


def test_particles_do_not_depend_on_how_many_there_are(client, template, tmp_path):
    """exp0 is the same result as single runs: particle 0 of two is the particle of one."""
    pictures = emoji_pictures(1, 0)
    residuals = []
    for n in (1, 2):
        go(client, template, pictures, tmp_path / str(n), {**QUICK, "Particles.particles": n})
        (file,) = (tmp_path / str(n)).rglob("metrics.json")
        residuals.append([row["residual"][0] for row in load_metrics(file)["steps"]])
    assert residuals[0] == pytest.approx(residuals[1], rel=1e-2)


def test_a_server_that_dies_is_reported_and_nothing_finished_is_lost(comfyui, tmp_path):
    base = make_base(tmp_path / "base")
    link_folder(places.ROOT, base / "custom_nodes" / places.PACK_NAME)
    pictures = emoji_pictures(3, 0)
    with Server(comfyui, base=base) as server:
        client = Client(server.url, timeout=10)
        template = load_template(places.LATENT_DAPS_TEMPLATE, client.object_info())
        go(client, template, pictures[:1], tmp_path)
        server.stop()
        outcome, _ = go(client, template, pictures, tmp_path)
    assert outcome.stopped.startswith("The server is gone")
    assert not outcome.complete
    assert is_finished(tmp_path / "quick" / pictures[0].name)
    assert not list((tmp_path / "quick").glob(".*"))


def test_ctrl_c_takes_the_prompt_back(client, template, tmp_path):
    """On somebody's server nothing goes on that nobody waits for; the experiment goes on from there later."""
    picture = emoji_pictures(1, 5)
    options = {**BASELINE, "AnnealingScheduler.steps": 400}
    prompt = prompt_of(template, Picture(picture[0].name, emoji=picture[0].emoji), options, "stopped")

    def stop(progress):
        if progress.value > 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.run(prompt, on_progress=stop)
    ends = time.monotonic() + patience(60)
    while any(client.queue_state()):
        assert time.monotonic() < ends, "the prompt still runs"
        time.sleep(0.2)


def test_the_command(server, tmp_path):
    """``lab.py experiment`` as a person starts it, on a running server; then its report."""
    done = call("exp3", "--count", 1, "--steps", 2, "--server", server.url, "--out", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    assert "1 of 1 images are in" in done.stdout
    report = call("report", tmp_path / "results", "--out", tmp_path / "report")
    assert report.returncode == 0, report.stderr
    assert "exp3" in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    for wrong, sentence in (
        (("exp0", "--pruning_step", "1200"), "Pruning_step is 1200"),
        (("exp0", "--num_samples", "four"), "Num_samples is 'four'; it must be a whole number."),
        (("exp0", "--images", tmp_path / "none"), "There is no folder"),
        (("exp0", "--start", "900"), "--start is 900, but there are"),
        (("report", tmp_path / "none"), "There is no folder"),
        (("exp0", "--count", "1", "--server", "http://127.0.0.1:9"), "does not answer"),
    ):
        failed = call(*wrong)
        assert failed.returncode == 1
        assert sentence in failed.stderr
        assert "Traceback" not in failed.stderr


def test_a_full_disk_is_one_sentence(server, tmp_path):
    """Where results should go there is a file, which is as unwritable as a full disk."""
    (tmp_path / "results").write_text("")
    failed = call("exp0", "--count", 1, "--server", server.url, "--out", tmp_path / "results")
    assert failed.returncode == 1
    assert "The results cannot be written" in failed.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without asking")
def test_sigterm_takes_the_prompt_back_too(server, client, tmp_path):
    """On somebody's server, which is not ours to end."""
    experiment = start("exp0", "--count", 1, "--steps", 400, "--server", server.url, "--out", tmp_path)
    eventually(lambda: client.queue_state()[0], 120)
    experiment.terminate()
    said = "".join(experiment.communicate(timeout=patience(120)))
    assert experiment.returncode == 143, said
    assert "Stopped. What was finished is kept" in said
    assert "Traceback" not in said
    eventually(lambda: not any(client.queue_state()), 60)


def test_two_at_the_same_time_share_the_work(server, tmp_path):
    """Two of the same command, with one --out: each image is done once, by one of them."""
    arguments = ["exp3", "--count", 3, "--steps", 2, "--server", server.url, "--out", tmp_path / "results"]
    both = [start(*arguments) for _ in range(2)]
    said = ["".join(each.communicate(timeout=patience(600))) for each in both]
    assert not any("Traceback" in each for each in said)
    home = tmp_path / "results" / "exp3"
    names = json.loads((home / "experiment.json").read_text())["images"]
    assert all(is_finished(home / name) for name in names), said
    assert sum(each.count("dB blind") for each in said) == len(names) == 3, "an image was done twice"
    assert [path.name for path in home.iterdir() if path.name.startswith(".")] == []


def test_nothing_to_do_starts_no_server(client, template, tmp_path):
    pictures = emoji_pictures(1, 0)
    options = with_known_names(BASELINE, {"num_samples": 2, "steps": 2})
    go(client, template, pictures, tmp_path, options, name="mine")
    done = call("mine", "--count", 1, "--num_samples", 2, "--steps", 2, "--out", tmp_path, "--comfyui", tmp_path / "no")
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 of 1 images are in" in done.stdout
    assert "nothing to do" in done.stdout


def test_what_is_wrong_is_told_before_a_server_is_started(tmp_path):
    (tmp_path / "graph.json").write_text("[1, 2]")
    for wrong, sentence in (
        (("exp0", "--workflow", tmp_path / "none.json"), "cannot be read: No such file"),
        (("exp0", "--workflow", tmp_path / "graph.json"), "is not a graph"),
    ):
        failed = call(*wrong, "--out", tmp_path / "results", "--comfyui", tmp_path / "no")
        assert failed.returncode == 1
        assert sentence in failed.stderr
        assert "Traceback" not in failed.stderr


def test_every_option_has_a_line_of_help(template, object_info):
    """Each short name stands for options that there are, which the listing explains in the nodes' own words."""
    text = "\n".join(option_lines(template))
    assert len(KNOWN_NAMES) == 17
    for known in KNOWN_NAMES.values():
        for dotted in known.sets:
            assert f"  {dotted}=" in text
            assert dotted in known.help
    assert object_info["SamplerLabPruning"]["input"]["required"]["keep"][1]["tooltip"] in text


def test_six_experiments_change_one_thing_each():
    assert list(EXPERIMENTS)[:6] == [f"exp{k}" for k in range(6)]
    assert EXPERIMENTS["exp0"].options == BASELINE
    assert EXPERIMENTS["exp0"].options["RandomNoise.noise_seed"] == EXPERIMENTS["exp0"].options["Measure.seed"] == 42
    options = {name: experiment.options for name, experiment in EXPERIMENTS.items()}
    assert options["exp1"] == with_known_names(BASELINE, {"repulsion_scale": 0.04})
    assert options["exp2"] == with_known_names(options["exp1"], {"pruning_step": 200, "pruning_keep": 2})
    assert options["exp3"] == with_known_names(BASELINE, {"num_samples": 2})
    assert options["exp4"] == with_known_names(options["exp2"], {"optimization_step": 200})
    assert options["exp5"] == with_known_names(BASELINE, {"num_samples": 8, "pruning_step": 200, "pruning_keep": 2})


def test_every_experiment_of_the_catalogue_makes_a_graph_that_the_host_takes(client):
    for experiment in EXPERIMENTS.values():
        template = load_template(experiment.workflow, client.object_info())
        for point in experiment.points:
            PromptQueue(client, template).check(point)
            prompt = prompt_of(template, emoji_pictures(1, 0)[0], point.options, "checked")
            client.cancel(client.queue(prompt))


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("Pruning.keep", -3, r"Pruning.keep is -3; it must be a whole number between 0 and 4096. How many particles"),
        ("Pruning.keep", "four", r"Pruning.keep is 'four'; it must be a whole number"),
        ("Pruning.mode", "best", r"Pruning.mode is 'best'; choose one of diverse, residual, resample"),
        ("Pruning.kept", 2, r"the node SamplerLabPruning has no input kept; it has keep, progress"),
        ("Prunning.keep", 2, r"this ComfyUI has no node SamplerLabPrunning and no node Prunning"),
        ("Measure.image", 2, r"Measure.image is a connection \(IMAGE\) and no value"),
    ],
)
def test_an_option_is_held_against_what_its_node_says(object_info, name, value, sentence):
    with pytest.raises(ValueError, match=sentence):
        checked(name, value, object_info)
    assert checked("HardConsistency.learning_rate", 1, object_info) == 1.0


def test_an_option_that_reaches_nothing_is_told_before_anything_is_written(client, template, tmp_path):
    """A node that fits nowhere, and an input that another node fills."""
    without = {key: node for key, node in template.graph.items() if node["class_type"] != "SamplerLabEmojiPrompt"}
    for graph, options, sentence in (
        (without, {"EmojiPrompt.class_name": "none"}, "has no SamplerLabEmojiPrompt and no open input for one"),
        (template.graph, {"SaveImage.filename_prefix": "mine", "Scheduler.steps": 3}, "has no SamplerLabScheduler"),
    ):
        with pytest.raises(ValueError, match=sentence):
            go(client, Template(graph, template.object_info), emoji_pictures(1, 0), tmp_path, {**QUICK, **options})
    assert list(tmp_path.iterdir()) == []


def test_no_class_is_told_where_an_experiment_says_so(template):
    picture = emoji_pictures(1, 0)[0]
    told = {}
    for name in ("langevin", "no_class"):
        prompt = prompt_of(template, picture, EXPERIMENTS[name].options, "x", picture.number)
        told[name] = [n["inputs"]["class_name"] for n in prompt.values() if n["class_type"] == "SamplerLabEmojiPrompt"]
    assert told == {"langevin": [picture.label], "no_class": ["none"]}


def test_runs_in_the_editor(client, server, object_info):
    """Load Runs and Plot Runs on results whose figures are known."""
    home = Path(server.base) / "output" / "known"
    write_experiment(home, "exp0", {"cat": [particle(0, 26.0, 26.0)], "dog": [particle(0, 20.0, 22.0)]})
    prompt = {"1": {"class_type": "SamplerLabLoadRuns", "inputs": {"folder": "known"}}}
    plots = object_info["SamplerLabPlotRuns"]["input"]["required"]["plot"][1]["options"]
    for k, plot in enumerate(plots):
        prompt[f"{10 + k}"] = {
            "class_type": "SamplerLabPlotRuns",
            "inputs": {"runs": ["1", 0], "plot": plot, "width": 600},
        }
        prompt[f"{20 + k}"] = {
            "class_type": "SaveImage",
            "inputs": {"images": [f"{10 + k}", 0], "filename_prefix": f"known_{plot}"},
        }
    result = client.run(prompt, timeout=120)
    assert "| exp0 | 2 |" in result.of("SamplerLabLoadRuns")[0]["text"][0]
    pictures = [Image.open(io.BytesIO(client.view(file))) for file in result.files("SaveImage")]
    assert len(pictures) == len(plots)
    assert {picture.width for picture in pictures} == {600}
    # A new result is seen, although the graph is the same.
    write_experiment(home, "exp1", {"cat": [particle(0, 26.0, 26.0)]})
    result = client.run(prompt, timeout=120)
    assert "| exp1 | 1 |" in result.of("SamplerLabLoadRuns")[0]["text"][0]


def test_what_experiments_left_at_the_host_is_grouped_by_their_names(client, server, template, tmp_path):
    """Runs lie in a folder each picture; that folder is no experiment."""
    for name, options in (("few", QUICK), ("more", {**QUICK, "Particles.particles": 3})):
        go(client, template, emoji_pictures(2, 0), tmp_path, options, name=name)
        go(client, template, emoji_pictures(2, 0), tmp_path / "again", options, name=name)
    prompt = {"1": {"class_type": "SamplerLabLoadRuns", "inputs": {"folder": "sampler_lab/experiments"}}}
    report = client.run(prompt, timeout=120).of("SamplerLabLoadRuns")[0]["text"][0]
    assert "| few | 2 |" in report
    assert "| more | 2 |" in report
    for picture in emoji_pictures(2, 0):
        assert f"| {picture.name} |" not in report


@pytest.mark.parametrize(
    ("folder", "sentence"),
    [("../..", "leads out of ComfyUI's output folder"), ("nowhere/at/all", "there is no folder 'nowhere/at/all'")],
)
def test_folders_that_are_refused(client, folder, sentence):
    from sampler_lab.labkit.outcome import RunFailed

    with pytest.raises(RunFailed, match=sentence):
        client.run({"1": {"class_type": "SamplerLabLoadRuns", "inputs": {"folder": folder}}}, timeout=60)
