"""The examples in the docstrings."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: The reading process is no part of the pack's Python: it is run by its path.
MODULES = sorted(
    ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for file in (ROOT / "operators").rglob("*.py")
    if file.name != "__init__.py" and file.parent.name != "reader_process"
)
WITH_EXAMPLES = {
    "operators.files.measurement_file",
    "operators.fourier",
    "operators.grey",
    "operators.noise.gaussian",
    "operators.phase_retrieval",
    "operators.symmetry",
}


def test_there_are_modules():
    assert set(MODULES) > WITH_EXAMPLES


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(f"sampler_lab.{name}"))
    assert result.failed == 0
    assert (result.attempted > 0) == (name in WITH_EXAMPLES)
