"""One rule for means, in every table and in the benchmark."""

from __future__ import annotations

import doctest
import importlib.util
import math
import sys
from pathlib import Path

import pytest
from recorded_runs import particle, write_run
from sampler_lab.instruments.runs.runs import load_runs
from sampler_lab.metrics import MEANS_RULE, means
from sampler_lab.metrics.means import mean_of

ROOT = Path(__file__).resolve().parents[2]


def test_the_examples_in_the_text():
    assert doctest.testmod(means).failed == 0


@pytest.mark.parametrize("lost", [None, math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_counted_and_not_averaged(lost):
    mean = mean_of([30.0, lost])
    assert (mean.value, mean.n, mean.of) == (30.0, 1, 2)
    assert mean.text(2) == "30.00 (1 of 2)"


def test_without_a_number_there_is_no_mean():
    assert mean_of([]).text(1) == mean_of([None, None]).text(1) == "–"
    assert mean_of([1, 2, 3]).text(1) == "2.0"


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))  # a script finds what lies beside it
    spec = importlib.util.spec_from_file_location("latent_daps_benchmark", ROOT / "benchmarks" / "latent_daps.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # where its dataclasses look for it
    spec.loader.exec_module(module)
    return module


def test_the_benchmark_has_the_same_rule(benchmark, tmp_path):
    """Of two glyphs one was lost: 30.00 of 1, not 15.00 and not 30.00 of 2."""
    write_run(tmp_path / "cat", [particle(2, 9.0, 21.0), particle(3, 29.0, 30.0)], blind=1)
    write_run(tmp_path / "dog", [particle(0, None, None)])
    found = {"langevin": load_runs([tmp_path]).runs}
    text = benchmark.summary(found).to_markdown()
    assert MEANS_RULE in text
    cells = next(line for line in text.splitlines() if line.startswith("| langevin |")).strip("| ").split(" | ")
    assert cells[2:5] == ["29.00 (1 of 2)", "30.00 (1 of 2)", "30.00 (1 of 2)"]
    assert cells[5].startswith("1/2 ")
