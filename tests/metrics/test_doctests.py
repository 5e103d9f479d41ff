"""The examples in the docstrings of metrics/ are true."""

import doctest
import importlib
import pkgutil

import pytest
import sampler_lab.metrics

MODULES = [module.name for module in pkgutil.iter_modules(sampler_lab.metrics.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(f"sampler_lab.metrics.{name}")
    assert doctest.testmod(module).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    modules = [importlib.import_module(f"sampler_lab.metrics.{name}") for name in MODULES]
    assert sum(len(test.examples) for module in modules for test in finder.find(module)) >= 4
