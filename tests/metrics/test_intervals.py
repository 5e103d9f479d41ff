"""Wilson's interval: it solves its own equation, matches published values, and covers."""

import math
from itertools import pairwise

import pytest
from sampler_lab.metrics import wilson_interval

Z95 = 1.959963984540054


@pytest.mark.parametrize(("successes", "n"), [(1, 10), (9, 10), (31, 100), (9, 100), (500, 1000)])
def test_its_bounds_are_where_the_score_test_just_rejects(successes, n):
    """(p_hat - p)² = z² p (1 - p)/n at both ends: the defining equation."""
    for p in wilson_interval(successes, n):
        assert (successes / n - p) ** 2 == pytest.approx(Z95**2 * p * (1 - p) / n, rel=1e-9)


def test_published_value():
    """Newcombe, Statistics in Medicine 17 (1998), table I: 81/263, 15/148, 0/20 and 1/29, method 3."""
    published = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for counts, interval in published.items():
        assert wilson_interval(*counts) == pytest.approx(interval, abs=5e-5)


def test_stays_inside_and_touches_the_ends_exactly():
    assert wilson_interval(0, 5)[0] == 0.0
    assert wilson_interval(5, 5)[1] == 1.0
    assert wilson_interval(0, 5)[1] == pytest.approx(Z95**2 / (5 + Z95**2))
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_covers_as_often_as_it_says():
    """The exact coverage at n = 30, averaged over p: no simulation."""

    def coverage(p, n):
        hits = [k for k in range(n + 1) if wilson_interval(k, n)[0] <= p <= wilson_interval(k, n)[1]]
        return sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in hits)

    mean = sum(coverage(p / 100, 30) for p in range(1, 100)) / 99
    assert mean == pytest.approx(0.95, abs=0.01)


def test_narrows_with_n_and_widens_with_confidence():
    widths = [high - low for low, high in (wilson_interval(n // 2, n) for n in (10, 100, 1000))]
    assert all(a > b for a, b in pairwise(widths))
    low, high = wilson_interval(5, 10, confidence=0.99)
    assert low < wilson_interval(5, 10)[0] < wilson_interval(5, 10)[1] < high


@pytest.mark.parametrize(("successes", "n"), [(-1, 5), (6, 5), (1, 0)])
def test_refuses_impossible_counts(successes, n):
    with pytest.raises(ValueError, match="cannot be"):
        wilson_interval(successes, n)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_refuses_an_impossible_confidence(confidence):
    with pytest.raises(ValueError, match="between 0 and 1"):
        wilson_interval(1, 2, confidence)
