"""What the record of a run shows of a chain that went nowhere."""

from __future__ import annotations

import pytest
from sampler_lab.instruments.divergence import UNEXPLAINED_SHARE, divergence

FLOOR, ENERGY = 2.0, 400.0


def row(*residual, **more):
    return {"particles": list(range(len(residual))), "residual": list(residual), **more}


def test_a_run_that_came_to_the_floor_has_nothing_to_say():
    assert divergence([row(4.0, 5.0), row(2.5, 3.0)], FLOOR, ENERGY) is None


def test_a_run_without_steps_has_nothing_to_say():
    assert divergence([], FLOOR, ENERGY) is None


def test_one_good_particle_is_enough():
    assert divergence([row(4.0, 5.0), row(2.5, None)], FLOOR, ENERGY) is None
    assert divergence([row(4.0, 5.0), row(2.5, 900.0)], FLOOR, ENERGY) is None


def test_a_residual_above_its_start_is_said():
    assert "rose from 4 at the first step to 8 at the last" in divergence([row(4.0), row(3.0), row(8.0)], FLOOR, ENERGY)


def test_far_above_the_floor_is_said_also_where_it_fell():
    last = max(8 * FLOOR, 2 * UNEXPLAINED_SHARE * ENERGY)
    assert "12 times the noise floor" in divergence([row(90.0), row(last)], FLOOR, ENERGY)


def test_a_blurring_vae_and_little_noise_are_no_divergence():
    assert divergence([row(9.0), row(7.0)], 0.1, ENERGY) is None  # 70 floors, and 2 % of the measurement


@pytest.mark.parametrize("floor", [None, 0.0])
def test_without_a_floor_the_start_and_the_energy_count(floor):
    assert divergence([row(90.0), row(8.0)], floor, ENERGY) is None
    assert "rose" in divergence([row(90.0), row(100.0)], floor, ENERGY)
    said = divergence([row(90.0), row(80.0)], floor, ENERGY)
    assert "20% of the measurement's energy, so" in said


def test_chains_that_were_set_back_are_counted():
    steps = [row(4.0, 5.0, set_back=[0, 1]), row(2.5, 3.0)]
    assert "2 of 4 chains became NaN or infinite" in divergence(steps, FLOOR, ENERGY)
    assert divergence([*steps, *[row(2.5, 3.0)] * 3], FLOOR, ENERGY) is None


def test_a_run_that_ends_without_a_number_is_said():
    assert "no residual is finite" in divergence([row(4.0), row(None)], FLOOR, ENERGY)
    assert "no residual is finite" in divergence([row(4.0), row(float("nan"))], FLOOR, ENERGY)


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (None, "the model or its VAE failed"),
        (100.0, "the residual rose from 90 at the first step to 100"),
        (80.0, "20% of the measurement's energy, so no particle explains it"),
    ],
)
@pytest.mark.parametrize("floor", [None, FLOOR])
def test_without_a_step_size_nobody_is_told_to_make_it_smaller(last, said, floor):
    told = divergence([row(90.0), row(last)], floor, ENERGY, has_step_size=False)
    assert said in told
    assert "step_size" not in told
    assert "step_size" in divergence([row(90.0), row(last)], floor, ENERGY)


def test_what_hard_consistency_mended_counts():
    polished = row(90.0, polish={"particles": [0], "residual": [2.1]})
    assert divergence([row(95.0), polished], FLOOR, ENERGY) is None
