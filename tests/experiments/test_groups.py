"""Which runs are the same, which are averaged together, and what is said about it."""

from __future__ import annotations

import json
import shutil

import pytest
from recorded_runs import particle, write_experiment, write_run
from sampler_lab.experiments.report import write_report
from sampler_lab.instruments.plots.runs import PLOTS
from sampler_lab.instruments.runs.differences import paired
from sampler_lab.instruments.runs.groups import differences
from sampler_lab.instruments.runs.runs import load_runs
from sampler_lab.instruments.runs.tables import every_image, summary

GOOD = [particle(0, 26.0, 30.0)]
LOST = [particle(0, None, None)]


def cell(table, row, column):
    (found,) = [line for line in table.rows if line[0] == row]
    return found[list(table.head).index(column)]


def edit(file, change):
    facts = json.loads(file.read_text())
    change(facts)
    file.write_text(json.dumps(facts))


class TestTheSameRun:
    def test_four_images_done_twice_are_four_images(self, tmp_path):
        """Copied, and done again into another folder: neither makes a result more certain."""
        for k, name in enumerate(("exp0", "exp1")):
            images = {image: [particle(0, 20.0, 25.0 + 2 * k)] for image in ("cat", "dog", "owl", "hen")}
            write_experiment(tmp_path / "a", name, images)
            write_experiment(tmp_path / "c", name, images)
        shutil.copytree(tmp_path / "a", tmp_path / "b")
        once, thrice = load_runs([tmp_path / "a"]), load_runs([tmp_path])
        assert len(once.runs) == len(thrice.runs) == 8
        measured = [[row for row in paired(runs).rows if row[1] != "time (s)"] for runs in (once, thrice)]
        assert measured[0] == measured[1]
        assert once.problems == ()
        (sentence,) = thrice.problems
        assert sentence.startswith("16 runs repeat others (same image, settings and seed), so they are left out")
        assert "and 8 more" in sentence
        report = write_report([tmp_path], tmp_path / "report")[0].read_text(encoding="utf-8")
        assert sentence in report
        assert "8 runs of 2 experiments on 4 images" in report

    def test_the_host_s_own_copy_of_an_experiment_s_run_repeats_it(self, tmp_path):
        write_experiment(tmp_path, "exp0", {"cat": GOOD})
        (tmp_path / "host").mkdir()
        shutil.copy(tmp_path / "exp0" / "cat" / "metrics.json", tmp_path / "host" / "run_00001_.json")
        runs = load_runs([tmp_path])
        assert [(run.experiment, run.image) for run in runs.runs] == [("exp0", "cat")]
        assert "1 run repeats another" in runs.problems[0]

    def test_the_newest_counts_and_other_figures_are_said(self, tmp_path):
        write_run(tmp_path / "run 1", [particle(0, 20.0, 21.0)], image="cat")
        newer = write_run(tmp_path / "run 2", [particle(0, 20.0, 27.0)], image="cat")
        edit(newer, lambda facts: facts.update(created="2999-01-01T00:00:00+00:00"))
        runs = load_runs([tmp_path])
        assert [run.score("psnr", "blind") for run in runs.runs] == [27.0]
        assert "run 1/metrics.json" in runs.problems[0]
        assert "Its figures differ, so something that records do not hold" in runs.problems[0]

    def test_experiments_that_a_person_named_apart_stay_apart(self, tmp_path):
        for name in ("mine", "yours"):
            write_experiment(tmp_path, name, {"cat": GOOD})
        assert load_runs([tmp_path]).experiments == ["mine", "yours"]

    def test_another_seed_is_another_run_but_no_other_image(self, tmp_path):
        for seed in (1, 2):
            write_run(tmp_path / f"run {seed}", GOOD, image="cat", seed=seed)
        runs = load_runs([tmp_path])
        assert runs.experiments == ["unnamed runs, seed 1", "unnamed runs, seed 2"]
        assert {run.image for run in runs.runs} == {"run 1"}, "one image has one name"
        assert [cell(summary(runs), name, "images") for name in runs.experiments] == ["1", "1"]

    def test_random_seeds_do_not_tear_a_set_of_images_apart(self, tmp_path):
        for seed, image in enumerate(("cat", "dog", "owl")):
            write_run(tmp_path / image, GOOD, seed=seed)
        write_run(tmp_path / "again", GOOD, image="cat", seed=9)
        runs = load_runs([tmp_path])
        assert {name: len(runs.of(name)) for name in runs.experiments} == {
            "unnamed runs": 3,
            "unnamed runs, repeat 2": 1,
        }

    def test_records_of_schema_1_are_known_by_their_figures(self, tmp_path):
        """They hold no hash; the flat image and the truth's residual stand for it."""

        def age(facts):
            table = facts["quality"][0]
            facts["schema"] = "sampler-lab/metrics/1"
            for key in ("model", "experiment", "picture", "final"):
                del facts[key]
            del table["reference_sha256"]
            for key in ("blind", "oracle", "oracle_raw"):
                table[key] = 0

        for folder in ("run 1", "run 2"):
            edit(write_run(tmp_path / folder, GOOD, image="cat"), age)
        edit(write_run(tmp_path / "run 3", GOOD, image="dog"), age)
        runs = load_runs([tmp_path])
        assert len(runs.runs) == 2
        assert "1 run repeats another" in runs.problems[0]
        write_run(tmp_path / "run 4", GOOD, image="dog", seed=7)  # of the present schema
        assert {run.image for run in load_runs([tmp_path]).runs} == {"run 2", "run 3"}

    def test_two_images_of_one_name_are_two(self, tmp_path):
        write_experiment(tmp_path / "a", "exp0", {"cat": GOOD})
        write_experiment(tmp_path / "b", "exp0", {})
        write_run(tmp_path / "b" / "exp0" / "cat", GOOD, image="quite another cat")
        runs = load_runs([tmp_path])
        assert len({run.image for run in runs.runs}) == 2
        assert all(run.image.startswith("cat (") for run in runs.runs)


class TestGroups:
    def test_unrelated_runs_of_one_folder_are_not_averaged(self, tmp_path):
        write_run(tmp_path / "cat", [particle(0, 20.0, 20.0)], steps=5)
        write_run(tmp_path / "dog", [particle(0, 20.0, 30.0)], steps=50)
        runs = load_runs([tmp_path])
        assert runs.experiments == ["steps 5", "steps 50"]
        assert cell(summary(runs), "steps 50", "PSNR aligned, blind (dB)") == "30.00"
        (note,) = runs.notes
        assert note.startswith("2 runs of no named experiment, grouped by equal settings: steps 5 (1 image), steps 50")
        assert "Prompt and checkpoint are not recorded" in note

    def test_no_experiment_is_made_up_from_a_picture_s_folder(self, tmp_path):
        """Where the host keeps what an experiment queued: .../exp0/tiger-face/run_00001_.json."""
        for image in ("tiger-face", "owl"):
            folder = tmp_path / "experiments" / "exp0" / image
            write_run(folder, GOOD).rename(folder / "run_00001_.json")
        assert load_runs([tmp_path]).experiments == ["unnamed runs"]
        for file in tmp_path.rglob("*.json"):
            edit(file, lambda facts, file=file: facts.update(experiment="exp0", picture=file.parent.name))
        runs = load_runs([tmp_path])
        assert [(run.experiment, run.image) for run in runs.runs] == [("exp0", "owl"), ("exp0", "tiger-face")]
        assert runs.notes == ()

    def test_one_name_with_two_settings_is_two(self, tmp_path):
        write_experiment(tmp_path / "a", "mine", {"cat": GOOD})
        write_experiment(tmp_path / "b", "mine", {"dog": GOOD}, precision="full")
        runs = load_runs([tmp_path])
        assert runs.experiments == ["mine (precision full)", "mine (precision none)"]
        assert "Runs of mine differ in settings or seed" in runs.notes[0]
        assert set(runs.questions.values()) == {"mine?"}

    def test_images_that_no_run_made_have_no_time_and_no_calls(self, tmp_path):
        write_run(tmp_path / "cat", GOOD)

        def alone(facts):
            facts.update(options={}, sigmas=[], sigmas_sha256=None, phases=[], steps=[], seed=None)
            facts["sigmas"] = None

        edit(write_run(tmp_path / "other", GOOD), alone)
        runs = load_runs([tmp_path])
        assert runs.experiments == ["images compared without a run", "unnamed runs"]
        assert cell(summary(runs), "images compared without a run", "time, median (s)") == "–"
        assert cell(summary(runs), "images compared without a run", "denoiser calls") == "–"
        for draw in PLOTS.values():
            draw(runs)

    def test_models_are_told_apart_and_an_old_record_stays_with_its_like(self, tmp_path):
        """Schema 1 did not know the model; one such file must not make all models one."""
        for image, model in (("cat", "Emoji"), ("dog", "Emoji"), ("owl", None)):
            edit(write_run(tmp_path / image, GOOD), lambda facts, model=model: facts.update(model=model))
        assert load_runs([tmp_path]).experiments == ["unnamed runs"]
        edit(write_run(tmp_path / "hen", GOOD), lambda facts: facts.update(model="Flux"))
        runs = load_runs([tmp_path])
        assert {name: len(runs.of(name)) for name in runs.experiments} == {
            "model Emoji": 2,
            "model Flux": 1,
            "model none": 1,
        }

    def test_words_for_what_differs(self):
        assert differences([1, 1], "x") == [[], []]
        assert differences([]) == []
        several = [
            {"pruning": None},
            {"pruning": {"keep": 2, "mode": "residual"}},
            {"pruning": {"keep": 4, "mode": "residual"}},
        ]
        assert differences(several) == [["no pruning"], ["pruning keep 2"], ["pruning keep 4"]]
        assert differences([{"a": {"b": 1.5, "c": True}}, {"a": {"b": 2, "c": False}}]) == [
            ["a b 1.5", "a c on"],
            ["a b 2", "a c off"],
        ]

    def test_many_differences_are_cut_to_those_that_tell_the_runs_apart(self, tmp_path):
        """Presets differ in many numbers at once, and the parts of a run are named after them."""

        def mcmc(kind):
            return {"kind": kind, **dict.fromkeys(("a", "b", "c", "d", "e"), 1.0 if kind == "hmc" else 2.0)}

        cases = {
            "langevin": {"mcmc": mcmc("langevin"), "pruning": None, "repulsion": None},
            "plain": {"mcmc": mcmc("hmc"), "pruning": None, "repulsion": None},
            "pruned": {"mcmc": mcmc("hmc"), "pruning": {"keep": 2}, "repulsion": None},
            "both": {"mcmc": mcmc("hmc"), "pruning": {"keep": 2}, "repulsion": {"rho": 0.1}},
        }
        for name, options in cases.items():
            edit(write_run(tmp_path / name, GOOD), lambda facts, options=options: facts.update(options=options))
        assert set(load_runs([tmp_path]).experiments) == {
            "mcmc kind langevin, no pruning, no repulsion, ...",
            "mcmc kind hmc, no pruning, no repulsion, ...",
            "mcmc kind hmc, pruning, no repulsion, ...",
            "mcmc kind hmc, pruning, repulsion, ...",
        }


class TestFailures:
    def test_all_that_failed_is_one_line(self, tmp_path):
        write_experiment(tmp_path, "exp0", {"cat": GOOD})
        for k in range(12):
            folder = tmp_path / "exp0" / f"bad {k:02}"
            folder.mkdir()
            (folder / "error.txt").write_text("Out of memory.\n" if k else "The image\nis broken.\n")
        write_run(tmp_path / "exp0" / "broken run", GOOD, status="failed")
        (line,) = load_runs([tmp_path]).problems
        assert line.startswith("13 runs failed, so they are left out: ")
        assert line.count("Out of memory.") == 1
        assert "exp0/bad 00 (The image is broken.)" in line
        assert "and 3 more (Out of memory.)" in line
        assert "\n" not in line


class TestWhatIsNotFinite:
    """{30, NaN} is never 30.00 over 2 images."""

    @pytest.fixture
    def runs(self, tmp_path):
        write_experiment(tmp_path, "exp0", {"cat": GOOD, "dog": GOOD})
        write_experiment(tmp_path, "exp1", {"cat": GOOD, "dog": LOST})
        write_experiment(tmp_path, "exp2", {"cat": LOST, "dog": LOST})
        return load_runs([tmp_path])

    def test_a_mean_says_over_how_many(self, runs):
        table = summary(runs)
        for column in ("PSNR aligned, blind (dB)", "PSNR aligned, oracle (dB)", "mean over particles (dB)"):
            assert [cell(table, f"exp{k}", column) for k in range(3)] == ["30.00", "30.00 (1 of 2)", "–"]
        # Whatever else a file says of a particle that is not finite.
        assert [cell(table, f"exp{k}", "SSIM aligned, blind") for k in range(3)] == ["0.900", "0.900 (1 of 2)", "–"]
        assert "over how many of how many" in table.notes[0]

    def test_success_counts_it_as_failed(self, runs):
        table = summary(runs)
        assert [cell(table, f"exp{k}", "success blind").split()[0] for k in range(3)] == ["2/2", "1/2", "0/2"]

    def test_a_lost_particle_is_not_left_out_of_the_mean_over_particles(self, tmp_path):
        write_experiment(tmp_path, "exp0", {"cat": [*GOOD, particle(1, None, None)]})
        (run,) = load_runs([tmp_path]).runs
        assert (run.score("psnr", "mean"), run.score("psnr", "std")) == (None, None)
        assert run.score("psnr", "blind") == 30.0
        assert run.coverage == {"0°": 1, "180°": 0, "neither": 1}

    def test_success_that_a_file_claims_of_nan_is_not_believed(self, tmp_path):
        home = write_experiment(tmp_path, "exp0", {"cat": LOST})
        edit(
            home / "cat" / "metrics.json",
            lambda facts: facts["quality"][0]["particles"][0].update(success=True),
        )
        (run,) = load_runs([tmp_path]).runs
        assert not run.success("blind")

    def test_differences_say_of_how_many_images(self, runs):
        rows = [row for row in paired(runs).rows if row[0].startswith("exp1") and row[1] == "PSNR aligned, blind (dB)"]
        assert rows[0][2] == "1 of 2"
        assert cell(every_image(runs), "dog", "exp1") == "– / –"

    def test_plots_say_it_too(self, runs):
        for name in ("psnr", "cost"):
            (axes,) = PLOTS[name](runs).axes
            assert any("1 of 2" in text.get_text() for text in axes.texts)
