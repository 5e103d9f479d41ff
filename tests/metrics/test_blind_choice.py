"""The blind choice: residual first, a prior term among ties, non-finite rows last."""

import math

import pytest
import torch
from sampler_lab.metrics.blind_choice import blind_choice, blind_order


def test_the_smallest_residual_comes_first():
    assert blind_order(torch.tensor([3.0, 1.0, 2.0])) == [1, 2, 0]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_non_finite_rows_come_last(bad):
    assert blind_order(torch.tensor([bad, 5.0, bad, 1.0])) == [3, 1, 0, 2]


def test_all_non_finite_is_particle_zero():
    assert blind_choice(torch.tensor([math.nan, math.inf])) == 0


def test_the_prior_decides_among_ties_and_only_there():
    asked = []

    def prior(rows):
        asked.append(rows.tolist())
        return torch.tensor([7.0, 3.0, 5.0, 0.0])[rows]

    # Row 3 is likeliest by far, but its residual is larger than those of 0, 1 and 2, which tie.
    assert blind_order(torch.tensor([1.0, 1.0, 1.0, 1.1]), prior) == [1, 2, 0, 3]
    assert asked == [[0, 1, 2]]


def test_ties_keep_the_order_of_the_rows_without_a_prior():
    assert blind_order(torch.tensor([2.0, 2.0, 1.0, 2.0])) == [2, 0, 1, 3]


def test_a_non_finite_prior_loses_the_tie():
    answers = torch.tensor([math.nan, math.inf, 9.0])
    assert blind_choice(torch.ones(3), lambda rows: answers[rows]) == 2


def test_tolerance_says_what_ties():
    residual = torch.tensor([100.0, 101.0, 103.0])

    def prior(rows):
        return -rows.double()  # the later row is likelier

    assert blind_choice(residual, prior, tolerance=0.0) == 0
    assert blind_choice(residual, prior, tolerance=0.02) == 1
    assert blind_choice(residual, prior, tolerance=0.05) == 2


def test_rounding_is_a_tie():
    """A twin's residual is the same sum in another order: equal to rounding, not to the bit."""
    residual = torch.tensor([14.936120, 14.936118])
    assert blind_choice(residual, lambda rows: rows.double()) == 0


@pytest.mark.parametrize("residual", [torch.zeros(0), torch.zeros(2, 3), torch.tensor(1.0)])
def test_refuses_what_is_not_one_number_per_particle(residual):
    with pytest.raises(ValueError, match="one number per particle"):
        blind_choice(residual)


def test_refuses_a_negative_tolerance():
    with pytest.raises(ValueError, match=r"tolerance is -0\.1"):
        blind_choice(torch.ones(2), tolerance=-0.1)
