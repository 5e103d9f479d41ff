"""Reader, statistics, tables, plots and report on runs whose numbers are known."""

import csv
import io
import math

import pytest
from recorded_runs import particle, write_experiment, write_run
from sampler_lab.experiments.report import write_report
from sampler_lab.instruments.plots.runs import PLOTS
from sampler_lab.instruments.runs.comparison import paired_difference, sign_test
from sampler_lab.instruments.runs.differences import every_pair, paired
from sampler_lab.instruments.runs.runs import load_runs
from sampler_lab.instruments.runs.table import Table
from sampler_lab.instruments.runs.tables import coverage, every_image, phases, summary
from scipy import stats


@pytest.fixture
def results(tmp_path):
    """exp0 has three images, exp1 the first two of them, pruned and a bit better."""
    flipped = particle(1, 8.0, 28.0, "rot180, shift (1, 0)")
    failed = particle(2, 12.0, 15.0, success=False)
    write_experiment(
        tmp_path,
        "exp0",
        {
            "cat": [particle(0, 26.0, 26.0), flipped, failed],
            "dog": [particle(0, 20.0, 21.0), flipped],
            "owl": [failed],
        },
    )
    write_experiment(
        tmp_path,
        "exp1",
        {"cat": [particle(0, 26.5, 26.5), particle(3, 9.0, 27.0, "rot180")], "dog": [particle(0, 20.0, 22.5), flipped]},
        pruned=True,
    )
    return tmp_path


class TestReader:
    def test_every_kind_of_folder(self, results):
        def found(*folders):
            return [(run.experiment, run.image) for run in load_runs(folders).runs]

        everything = [("exp0", "cat"), ("exp0", "dog"), ("exp0", "owl"), ("exp1", "cat"), ("exp1", "dog")]
        assert found(results) == everything
        assert found(results / "exp1") == everything[3:]
        assert found(results / "exp0" / "owl") == [("exp0", "owl")]
        assert found(results / "exp0" / "owl" / "metrics.json") == [("exp0", "owl")]
        assert found(results / "exp1", results) == everything, "a run that is named twice is read once"

    def test_a_record_under_another_name(self, tmp_path):
        write_run(tmp_path / "x", [particle(0, 20.0, 20.0)]).rename(tmp_path / "run_00001_.json")
        (run,) = load_runs([tmp_path]).runs
        assert (run.experiment, run.image) == ("unnamed runs", "run_00001_"), "a folder's name is no experiment"

    def test_what_cannot_be_read_is_named(self, results):
        (results / "exp0" / "owl" / "metrics.json").write_text("{")
        write_run(results / "exp0" / "hen", [particle(0, 20.0, 20.0)], status="cancelled")
        write_run(results / "exp0" / "ant", [])
        (results / "exp0" / "elk").mkdir()
        (results / "exp0" / "elk" / "error.txt").write_text("The image is broken.\n")
        (results / "exp0" / ".bee.partial").mkdir()
        (results / "exp0" / ".bee.partial" / "metrics.json").write_text("{")
        runs = load_runs([results])
        assert [run.image for run in runs.of("exp0")] == ["cat", "dog"]
        problems = "\n".join(runs.problems)
        assert len(runs.problems) == 4
        for sentence in (
            "not valid JSON",
            "owl/metrics.json",
            "1 run is cancelled, so it is left out: exp0/hen/metrics.json.",
            "1 run has no quality table (connect Compare To Reference), so it is left out: exp0/ant/metrics.json.",
            "1 run failed, so it is left out: ",
            "exp0/elk (The image is broken.)",
        ):
            assert sentence in problems

    def test_nothing_found_is_one_sentence(self, tmp_path):
        with pytest.raises(ValueError, match=r"no finished run was found in .*; run an experiment first"):
            load_runs([tmp_path])
        with pytest.raises(ValueError, match="there is no folder"):
            load_runs([tmp_path / "nowhere"])

    def test_what_a_run_says_of_itself(self, results):
        run = load_runs([results / "exp0" / "cat"]).runs[0]
        assert run.score("psnr", "blind") == 26.0
        assert run.score("psnr", "oracle") == 28.0
        assert run.score("psnr", "oracle_raw", "raw") == 26.0
        assert run.score("psnr", "mean") == pytest.approx((26 + 28 + 15) / 3)
        assert run.score("psnr", "std") == pytest.approx(math.sqrt(98 / 3))  # of 26, 28 and 15
        assert run.score("lpips", "mean") is None
        assert run.coverage == {"0°": 1, "180°": 1, "neither": 1}
        assert run.success("blind")
        assert run.calls("decoder_backward") == 45
        assert run.residual_ratios(run.steps[0]) == [4.0, 3.0, 2.0]

    def test_polish_is_counted(self, results):
        run = load_runs([results / "exp1" / "cat"]).runs[0]
        assert run.polish_iterations == [4, 0]
        assert run.polish_accepted == [True, False]
        assert run.phase("refine")["calls"]["denoiser"] == 2
        assert run.phase("polish") is None


class TestPairedDifferences:
    def test_student_interval(self, results):
        runs = load_runs([results])
        found = paired_difference(runs.of("exp0"), runs.of("exp1"), lambda run: run.score("psnr", "blind"))
        assert (found.n, found.larger, found.smaller) == (2, 2, 0)
        assert found.mean == pytest.approx(1.0)  # +0.5 and +1.5
        # t(0.975, 1 degree of freedom) = tan(0.475 pi) = 12.706; s/sqrt(2) = 0.5
        assert found.high - found.mean == pytest.approx(math.tan(0.475 * math.pi) * 0.5)
        assert found.p == 0.5

    def test_one_image_has_no_interval(self, results):
        runs = load_runs([results / "exp0" / "cat", results / "exp1" / "cat"])
        found = paired_difference(runs.of("exp0"), runs.of("exp1"), lambda run: run.score("psnr", "blind"))
        assert (found.n, found.low, found.high) == (1, None, None)

    def test_no_image_in_common(self, results):
        runs = load_runs([results])
        assert paired_difference(runs.of("exp1"), runs.of("exp0")[2:], lambda run: 1.0) is None

    def test_ties_count_for_neither(self, results):
        runs = load_runs([results])
        found = paired_difference(runs.of("exp0"), runs.of("exp1"), lambda run: run.score("psnr", "blind"), tie=1.0)
        assert (found.larger, found.smaller, found.p) == (1, 0, 1.0)

    @pytest.mark.parametrize(("larger", "smaller"), [(0, 0), (5, 0), (7, 3), (3, 7), (20, 4)])
    def test_sign_test_is_the_binomial_test(self, larger, smaller):
        n = larger + smaller
        expected = stats.binomtest(larger, n, 0.5).pvalue if n else 1.0
        assert sign_test(larger, smaller) == pytest.approx(expected)


class TestTables:
    def row(self, table, name, *more):
        (found,) = [row for row in table.rows if list(row[: 1 + len(more)]) == [name, *more]]
        return dict(zip(table.head, found, strict=True))

    def test_summary(self, results):
        row = self.row(summary(load_runs([results])), "exp0")
        assert row["images"] == "3"
        assert row["PSNR aligned, blind (dB)"] == f"{(26 + 21 + 15) / 3:.2f}"
        assert row["PSNR aligned, oracle (dB)"] == f"{(28 + 28 + 15) / 3:.2f}"
        assert row["PSNR raw, oracle (dB)"] == f"{(26 + 20 + 12) / 3:.2f}"
        assert row["success blind"].startswith("2/3 (")
        assert row["decoder backward"] == "45"

    def test_columns_without_a_number_are_left_out_and_named(self, results):
        table = summary(load_runs([results]))
        assert not any("LPIPS" in head for head in table.head)
        assert "No run has numbers for: LPIPS raw, blind, LPIPS aligned, blind." in table.notes

    def test_coverage(self, results):
        row = self.row(coverage(load_runs([results])), "exp0")
        assert (row["at 0°"], row["at 180°"], row["neither"]) == ("2 (33%)", "2 (33%)", "2 (33%)")
        assert row["images with both"].startswith("2/3")
        assert (row["distance, first step"], row["distance, last step"]) == ("2.000", "0.500")

    def test_phases(self, results):
        table = phases(load_runs([results]))
        assert [row[:2] for row in table.rows] == [["exp0", "explore"], ["exp1", "explore"], ["exp1", "refine"]]
        assert self.row(table, "exp1", "refine")["decoder backward"] == "9"

    def test_paired(self, results):
        row = self.row(paired(load_runs([results])), "exp1 \u2212 exp0", "PSNR aligned, blind (dB)")
        assert (row["images"], row["mean"], row["larger / smaller"]) == ("2", "+1.00", "2 / 0")
        assert row["sign test p (Holm)"] == "1.00", "0.5, and there are six tests in the table"

    def test_many_tests_are_corrected(self, tmp_path):
        better = {f"image {k}": [particle(0, 20.0 + k, 20.0 + k)] for k in range(6)}
        shifted = {
            name: [particle(0, row["aligned"]["psnr"] + 1, row["aligned"]["psnr"] + 1)]
            for name, (row,) in better.items()
        }
        for name in ("exp0", "exp2"):
            write_experiment(tmp_path, name, better)
        write_experiment(tmp_path, "exp1", shifted)
        table = every_pair(load_runs([tmp_path]))
        # Six of six: p = 0.031, which among three pairs is 0.094, so nothing is found.
        assert self.row(table, "exp1")["exp0"] == "+1.00 (+1.00 to +1.00)"

    def test_a_difference_that_survives_the_correction_has_a_star(self, tmp_path):
        for name, psnr in (("exp0", 20.0), ("exp1", 21.0), ("exp2", 20.0)):
            write_experiment(tmp_path, name, {f"image {k}": [particle(0, psnr, psnr)] for k in range(9)})
        table = every_pair(load_runs([tmp_path]))  # nine of nine: p = 0.004
        assert self.row(table, "exp1")["exp0"] == "+1.00 (+1.00 to +1.00) *"
        assert self.row(table, "exp2")["exp0"] == "+0.00 (+0.00 to +0.00)"

    def test_every_image(self, results):
        row = self.row(every_image(load_runs([results])), "owl")
        assert row == {"image": "owl", "flat image (dB)": "13.0", "exp0": "15.0 / 15.0", "exp1": "–"}

    def test_three_languages(self):
        table = Table("t", "T", ["a_b", "50 %"], [["x|y & z", "–"]], ["A note."])
        assert table.to_markdown().splitlines() == ["| a_b | 50 % |", "| --- | --- |", "| x/y & z | – |", "", "A note."]
        assert list(csv.reader(io.StringIO(table.to_csv()))) == [["a_b", "50 %"], ["x|y & z", ""]]
        latex = table.to_latex()
        assert r"a\_b & 50 \% \\" in latex
        assert r"x|y \& z & -- \\" in latex
        assert latex.count(r"\toprule") == latex.count(r"\bottomrule") == 1


@pytest.mark.parametrize("name", PLOTS)
def test_plots_draw_what_is_there(results, name, tmp_path):
    runs = load_runs([results])
    figure = PLOTS[name](runs)
    (axes,) = figure.axes
    shown = axes.get_legend_handles_labels()[1] + [tick.get_text() for tick in axes.get_xticklabels()]
    shown += [text.get_text() for text in axes.texts]
    assert any("exp0" in text for text in shown)
    assert any("exp1" in text for text in shown)
    figure.savefig(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 5000


def test_the_report_is_whole_and_the_same_every_time(results, tmp_path):
    (results / "exp0" / "elk").mkdir()
    (results / "exp0" / "elk" / "error.txt").write_text("The image is broken.")
    first = write_report([results], tmp_path / "a")
    assert all(path.is_file() for path in first)
    text = first[0].read_text(encoding="utf-8")
    assert "**exp0** exp0?" in text
    assert "The image is broken." in text
    for name in PLOTS:
        assert f"(plots/{name}.png)" in text
    assert {path.name for path in (tmp_path / "a" / "tables").iterdir()} == {
        f"{name}.{kind}" for name in ("summary", "paired", "coverage", "phases", "images") for kind in ("csv", "tex")
    }
    write_report([results], tmp_path / "b")
    assert (tmp_path / "b" / "report.md").read_text(encoding="utf-8") == text
