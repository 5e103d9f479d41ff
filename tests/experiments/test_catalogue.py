"""Every experiment of the catalogue: it asks something, says what it sets, and has its own place for its results.

That the host takes its options is seen in ``tests/host/test_experiments.py``.
"""

from pathlib import Path

import pytest
from sampler_lab.experiments.catalogue import BASELINE, BASELINES, EXPERIMENTS, catalogued
from sampler_lab.experiments.known_names import KNOWN_NAMES
from sampler_lab.experiments.options import canonical
from sampler_lab.experiments.pictures import safe_name
from sampler_lab.experiments.runner import home_of


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment(name):
    experiment = catalogued(name)
    assert experiment.name == name == safe_name(name)
    assert experiment.question.endswith("?")
    always = BASELINES[experiment.workflow].keys()
    assert experiment.options.keys() >= always, "it does not depend on how the workflow was saved"
    assert all(canonical(option) == option for option in experiment.options)
    points = experiment.points
    homes = {home_of(point, Path("results")) for point in points}
    assert len(homes) == len(points)
    assert not any(isinstance(value, (list, tuple)) for point in points for value in point.options.values())


def test_no_two_experiments_set_the_same():
    settings = [sorted(point.options.items()) for each in EXPERIMENTS.values() for point in each.points]
    assert all(settings.count(each) == 1 for each in settings)


def test_what_is_not_catalogued_is_the_baseline_under_its_own_name():
    mine = catalogued("mine")
    assert (mine.name, mine.options) == ("mine", BASELINE)
    assert "report" not in EXPERIMENTS, "these are commands"
    assert "options" not in EXPERIMENTS, "these are commands"


def test_the_baseline_is_what_short_names_can_change():
    sets = {dotted for known in KNOWN_NAMES.values() for dotted in known.sets}
    assert sets >= BASELINE.keys()
