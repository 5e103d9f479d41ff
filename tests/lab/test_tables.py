"""The quality table as the terminal shows it."""

from __future__ import annotations

import pytest
from recorded_runs import particle, quality
from sampler_lab.labkit.tables import quality_lines


@pytest.mark.parametrize(
    ("told", "said"),
    [({}, "the residual alone"), ({"blind_by": "residual"}, "the residual alone"), ({"blind_by": "run"}, "the run")],
)
def test_how_the_blind_choice_was_made_is_said(told, said):
    lines = list(quality_lines({**quality([particle(0, 20.0, 21.0), particle(3, 19.0, 26.0)], blind=1), **told}))
    assert lines[2].endswith("identity")
    assert lines[3].endswith("blind, oracle")
    (choice,) = [line for line in lines if line.startswith("blind:")]
    assert f"chosen by {said}" in choice
