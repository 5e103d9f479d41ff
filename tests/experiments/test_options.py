"""Options by dotted names, grids of them, and the short names that stand for them."""

import json

import pytest
from sampler_lab.experiments.catalogue import BASELINE, EXPERIMENTS
from sampler_lab.experiments.experiment import Experiment
from sampler_lab.experiments.known_names import from_schema_1, with_known_names
from sampler_lab.experiments.options import canonical, parsed
from sampler_lab.experiments.pictures import Picture
from sampler_lab.experiments.results import check_question, write_question
from sampler_lab.experiments.runner import home_of, jobs_left
from sampler_lab.labkit.errors import LabError

#: experiment.json of exp4 as release 0.1 wrote it.
SCHEMA_1 = {
    "num_samples": 4,
    "preset": "emoji_hmc",
    "steps": 50,
    "seed": 42,
    "repulsion_scale": 0.04,
    "repulsion_sigma_break": 0.3,
    "repulsion_mode": "normalised",
    "repulsion_schedule": "linear",
    "repulsion_feature_space": "latent",
    "repulsion_dino_model": "vit_small_patch16_224.dino",
    "pruning_step": 200,
    "pruning_keep": 2,
    "pruning_mode": "diverse",
    "optimization_step": 200,
    "optimization_iterations": 20,
    "optimization_learning_rate": 0.001,
    "optimization_gate_sigma": 0.2,
}


class TestGrids:
    def test_a_list_is_a_point_for_each_value(self):
        points = Experiment("keep", "?", {"Pruning.keep": [1, 2], "Particles.particles": 4}).points
        assert [point.name for point in points] == ["keep keep 1", "keep keep 2"]
        assert [point.options["Pruning.keep"] for point in points] == [1, 2]
        assert all(point.points == [point] for point in points)

    def test_two_lists_are_every_combination(self):
        points = Experiment("both", "?", {"Pruning.keep": [1, 2], "Repulsion.rho": [0.0, 0.04]}).points
        assert len({tuple(point.options.items()) for point in points}) == len({point.name for point in points}) == 4

    def test_each_point_has_its_own_folder(self, tmp_path):
        points = Experiment("keep", "?", {"Pruning.keep": [1, 2]}).points
        assert [home_of(point, tmp_path).name for point in points] == ["keep-keep-1", "keep-keep-2"]


class TestNames:
    def test_the_pack_s_prefix_may_be_left_out(self):
        both = [Experiment("x", "?", {name: 3}).options for name in ("Pruning.keep", "SamplerLabPruning.keep")]
        assert both[0] == both[1] == {"Pruning.keep": 3}
        with pytest.raises(ValueError, match="'keep' is no name of an option; write a node and its input with a dot"):
            canonical("keep")

    def test_values_of_a_command_line(self):
        assert [parsed(text) for text in ("3", "0.5", "1e-3", "True", "dino", "1, 2")] == [
            *(3, 0.5, 0.001, True, "dino"),
            [1, 2],
        ]

    def test_known_names_set_what_they_say(self):
        options = with_known_names(BASELINE, {"num_samples": "8", "seed": "7", "pruning_step": "500"})
        assert options == {
            **BASELINE,
            "Particles.particles": 8,
            "RandomNoise.noise_seed": 7,
            "Measure.seed": 7,
            "Pruning.progress": 0.5,
        }

    def test_a_part_is_switched_on_and_off(self):
        exp4 = EXPERIMENTS["exp4"].options
        off = {"repulsion_scale": 0, "pruning_step": -1, "optimization_step": -1}
        assert with_known_names(exp4, off) == BASELINE
        assert with_known_names(BASELINE, {"pruning_keep": 1, "repulsion_mode": "raw"}) == BASELINE, "both are off"
        assert with_known_names(exp4, {"pruning_keep": 1}) == {**exp4, "Pruning.keep": 1}

    def test_the_strength_of_repulsion_is_for_the_mode_that_is_used(self):
        raw = with_known_names(BASELINE, {"repulsion_scale": 10, "repulsion_mode": "raw"})
        assert raw == {**BASELINE, "Repulsion.mode": "raw", "Repulsion.scale": 10.0}
        assert with_known_names(raw, {"repulsion_scale": 20}) == {**raw, "Repulsion.scale": 20.0}
        exp1 = EXPERIMENTS["exp1"].options
        assert with_known_names(raw, {"repulsion_mode": "normalised", "repulsion_scale": 0.04}) == exp1
        assert with_known_names(exp1, {"repulsion_scale": 0.04}) == exp1

    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            ({"pruning_step": 1200}, r"pruning_step is 1200; it must be -1 \(off\) or a step from 1000"),
            ({"repulsion_scale": -1}, r"repulsion_scale is -1.0; it must be 0 \(off\) or more"),
            ({"num_samples": "four"}, "num_samples is 'four'; it must be a whole number"),
            ({"samples": 4}, "there is no option samples; there are: num_samples, preset"),
        ],
    )
    def test_a_wrong_one_is_one_sentence(self, given, sentence):
        with pytest.raises(ValueError, match=sentence):
            with_known_names(BASELINE, given)


class TestResultsOfEarlierReleases:
    def test_their_options_are_those_of_the_catalogue(self):
        assert from_schema_1(SCHEMA_1) == EXPERIMENTS["exp4"].options
        baseline = {**SCHEMA_1, "repulsion_scale": 0.0, "pruning_step": -1, "optimization_step": -1}
        assert from_schema_1(baseline) == EXPERIMENTS["exp0"].options
        assert from_schema_1({**SCHEMA_1, "pruning_mode": "residual"}) != EXPERIMENTS["exp4"].options

    def test_they_are_gone_on_with(self, tmp_path):
        home = tmp_path / "exp4"
        home.mkdir()
        facts = {"schema": "sampler-lab/experiment/1", "name": "exp4", "question": "?", "options": SCHEMA_1}
        (home / "experiment.json").write_text(json.dumps({**facts, "images": ["moai"]}))
        write_question(home, EXPERIMENTS["exp4"], ["ledger"])
        assert check_question(home, EXPERIMENTS["exp4"]) == ["moai", "ledger"]
        now = json.loads((home / "experiment.json").read_text())
        assert now["schema"] == "sampler-lab/experiment/2"
        assert now["options"] == EXPERIMENTS["exp4"].options
        with pytest.raises(LabError, match="holds results of other options"):
            check_question(home, EXPERIMENTS["exp2"])

    def test_looking_writes_nothing(self, tmp_path):
        assert [job.number for job in jobs_left(EXPERIMENTS["exp0"], [Picture("a"), Picture("b")], tmp_path, 5)] == [
            5,
            6,
        ]
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("text", ["{", "[]", '{"schema": "x", "options": {}}'])
    def test_what_is_no_experiment_is_named(self, tmp_path, text):
        (tmp_path / "experiment.json").write_text(text)
        with pytest.raises(LabError, match="is not readable as an experiment"):
            check_question(tmp_path, EXPERIMENTS["exp0"])
