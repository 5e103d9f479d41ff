"""The examples in the docstrings."""

import doctest
import importlib

import pytest

MODULES = [
    "containers",
    "detector",
    "files",
    "fourier",
    "noise",
    "npy_pair",
    "numpy_files",
    "operator",
    "phase_retrieval",
    "preview",
    "read_options",
    "saved_settings",
    "stored_array",
    "symmetry",
    "writers",
]
WITH_EXAMPLES = {"files", "fourier", "noise", "phase_retrieval", "symmetry"}


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(f"sampler_lab.operators.{name}"))
    assert result.failed == 0
    assert (result.attempted > 0) == (name in WITH_EXAMPLES)
