"""One rule for means, in every table and in the benchmark."""

from __future__ import annotations

import doctest
import importlib.util
import math
import sys
from pathlib import Path

import pytest
from recorded_runs import particle, quality
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
    spec = importlib.util.spec_from_file_location("latent_daps_benchmark", ROOT / "benchmarks" / "latent_daps.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # where its dataclasses look for it
    spec.loader.exec_module(module)
    return module


def test_the_benchmark_has_the_same_rule(benchmark):
    """Of two glyphs one was lost: 30.00 of 1, not 15.00 and not 30.00 of 2."""
    facts = {"class": "animal", "method": "langevin", "ceiling": 31.0, "seconds": 5.0, "peak_memory_bytes": None}
    facts["calls"] = {"denoiser": 1, "decoder_forward": 2, "decoder_backward": 3}
    # Names that are no places: in a pruned run "blind" is the particle's name.
    rows = [
        {"glyph": "cat", **facts, **quality([particle(2, 9.0, 21.0), particle(3, 29.0, 30.0)], blind=1)},
        {"glyph": "dog", **facts, **quality([particle(0, None, None)])},
    ]
    text = benchmark.markdown(rows, particles=4)
    assert MEANS_RULE in text
    cells = next(line for line in text.splitlines() if line.startswith("| langevin |")).split(" | ")
    assert cells[1:4] == ["29.00 (1 of 2)", "30.00 (1 of 2)", "30.00 (1 of 2)"]
    assert cells[4].startswith("1/2 ")
    assert "| cat | 13.0 | 31.0 | 30.0 / 30.0 |" in text
    assert "| dog | 13.0 | 31.0 | – / – |" in text
