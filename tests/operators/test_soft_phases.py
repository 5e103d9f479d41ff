"""Soft phases against what they stand for: integrals over the phase, error reduction, and the objective they lower."""

import math
from itertools import pairwise

import pytest
import torch
from operator_problems import generator, picture
from sampler_lab.operators import GaussianNoise, Measurement, PhaseRetrieval
from sampler_lab.operators.classical.error_reduction import error_reduction
from sampler_lab.operators.half_spectrum import HalfSpectrum
from sampler_lab.operators.soft_phases import phase_trust, soft_error_reduction, solve

FREE = (-math.inf, math.inf)
KAPPA = torch.cat([torch.zeros(1, dtype=torch.float64), torch.logspace(-6, 6, 4001, dtype=torch.float64)])


def bessel_ratio(kappa):
    """I1/I0, the exact trust."""
    return torch.special.i1e(kappa) / torch.special.i0e(kappa)


def log_i0(kappa):
    return torch.special.i0e(kappa).log() + kappa


# -- the trust ---------------------------------------------------------------------------------------------------------


def test_the_trust_is_the_bessel_ratio_within_its_bound():
    assert (phase_trust(KAPPA) - bessel_ratio(KAPPA)).abs().max() < 0.005
    assert (phase_trust(KAPPA.float()) - bessel_ratio(KAPPA)).abs().max() < 0.005


def test_the_trust_is_the_mean_cosine_of_the_angle():
    """E cos(theta) under exp(kappa cos(theta)); the trapezoidal rule on a circle converges geometrically."""
    angle = torch.arange(20_000, dtype=torch.float64) * (2 * math.pi / 20_000)
    for kappa in (0.01, 0.3, 1.0, 4.0, 8.0, 30.0, 1e3, 1e5):
        density = torch.exp(kappa * (angle.cos() - 1))
        mean = float((density * angle.cos()).sum() / density.sum())
        assert float(bessel_ratio(torch.tensor(kappa, dtype=torch.float64))) == pytest.approx(mean, rel=1e-10)
        assert float(phase_trust(torch.tensor(kappa))) == pytest.approx(mean, abs=0.005)


def test_the_trust_rises_from_nothing_to_everything():
    """So it is the derivative of a convex function itself, and has a value for whatever single precision can hold."""
    trust = phase_trust(KAPPA)
    assert trust[0] == 0
    assert bool((trust.diff() >= 0).all())
    assert phase_trust(torch.tensor([1e9, 1e19, 3e38, math.inf])).tolist() == [1.0] * 4
    assert bool(phase_trust(torch.tensor(math.nan)).isnan())


# -- the posterior mean of a value whose amplitude is known ------------------------------------------------------------


@pytest.mark.parametrize("v", [0.01, 0.3, 5.0])
def test_posterior_mean_of_a_value_by_integration_over_its_phase(v):
    """U* = U + a circular Gaussian of variance v, |U*| = y: the density over the phase is exp(-|y e^it - U|²/v)."""
    angle = torch.arange(4000, dtype=torch.float64) * (2 * math.pi / 4000)
    for y, centre in ((1.0, 0.8 + 0.6j), (0.3, -1.0 + 0.1j), (2.0, 0.05j), (0.7, 0.2 - 0.7j)):
        value = torch.polar(torch.full_like(angle, y), angle)
        exponent = -(value - centre).abs().square() / v
        density = torch.exp(exponent - exponent.max())
        mean = complex((density * value).sum() / density.sum())
        kappa = torch.tensor(2 * y * abs(centre) / v, dtype=torch.float64)
        expected = y * float(bessel_ratio(kappa)) * centre / abs(centre)
        assert abs(mean - expected) < 1e-9
        assert abs(mean - y * float(phase_trust(kappa)) * centre / abs(centre)) < 0.005 * y


@pytest.mark.parametrize("size", [(6, 8), (7, 5)])
def test_it_is_what_becomes_of_every_frequency(size):
    """Where the image fills its frame nothing is cut, so each frequency shows what it was given."""
    u = torch.randn(2, 3, *size, generator=generator(), dtype=torch.float64)
    data = HalfSpectrum(torch.rand(1, 3, *size, generator=generator(1), dtype=torch.float64), None, size)
    before = data.transform(u)
    v = 0.3 * torch.ones_like(data.mean) + 0.2 * data.radius().double() / max(size)  # the same at k and -k
    after = data.transform(soft_error_reduction(u, data, v[None]))
    mean = data.mean * bessel_ratio(2 * data.mean * before.abs() / v) * before / before.abs()
    assert ((after - mean).abs() / data.mean.clamp_min(1e-6)).max() < 0.005


# -- error reduction ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"oversample": 0.0},
        {"detector": (19, 22)},
        {"channels": "mean"},
        {"signal_range": "-1..1"},
        {"quantity": "intensity"},
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [(16, 16), (13, 10)])
def test_full_trust_is_error_reduction(size, settings, masked):
    operator = PhaseRetrieval(**settings, noise=GaussianNoise(0.05))  # clipped: no recorded amplitude is negative
    measurement = operator.measure(picture(1, *size, dtype=torch.float64), 0)
    y = measurement.y
    if masked:
        measurement = Measurement(y, operator, torch.rand(y.shape, generator=generator(1)) > 0.3, size)
    amplitudes = measurement.y.sqrt() if operator.quantity == "intensity" else measurement.y
    data = HalfSpectrum.of(measurement, amplitudes)
    u = operator.object(picture(2, *size, seed=9, dtype=torch.float64))
    expected = error_reduction(u, measurement)
    torch.testing.assert_close(soft_error_reduction(u, data, None), expected, rtol=0, atol=1e-12)
    certain = torch.full((1, *data.mean.shape), 1e-14, dtype=torch.float64)
    torch.testing.assert_close(soft_error_reduction(u, data, certain), expected, rtol=0, atol=1e-9)


def test_error_reduction_with_a_proximal_term():
    measurement = PhaseRetrieval().measure(picture(dtype=torch.float64), 0)
    data = HalfSpectrum.of(measurement, measurement.y)
    u0 = measurement.operator.object(picture(seed=9, dtype=torch.float64))
    u = u0
    for _ in range(3):
        u = ((error_reduction(u, measurement) + 0.4 * u0) / 1.4).clamp(0, 1)
    found = solve(
        lambda x: soft_error_reduction(x, data, None), u0, torch.full_like(u0, 0.4), (0.0, 1.0), 3, momentum=False
    )
    torch.testing.assert_close(found, u, rtol=0, atol=1e-12)


def test_where_nothing_is_known_the_object_is_empty_and_where_nothing_was_recorded_it_stays():
    u = torch.rand(1, 1, 6, 6, generator=generator(), dtype=torch.float64)
    y = torch.ones(1, 1, 8, 8, dtype=torch.float64)
    unknown = torch.full((1, 1, 8, 5), 1e12, dtype=torch.float64)
    assert soft_error_reduction(u, HalfSpectrum(y, None, (6, 6)), unknown).abs().max() < 1e-10
    mask = torch.zeros_like(y)
    torch.testing.assert_close(soft_error_reduction(u, HalfSpectrum(y, mask, (6, 6)), unknown), u, rtol=0, atol=1e-12)


# -- the objective -----------------------------------------------------------------------------------------------------


class Problem:
    """A random one: size, detector, dead pixels, variances of frequencies and pixels, objects."""

    def __init__(self, seed, v=None, weight=None):
        def drawn(*shape, low=0.0, high=1.0):
            return low + (high - low) * torch.rand(shape, generator=random, dtype=torch.float64)

        random = generator(seed)
        rows, columns, down, right = (int(n) for n in torch.randint(0, 5, (4,), generator=random))
        size, detector = (4 + rows, 4 + columns), (4 + rows + down, 4 + columns + right)
        y = drawn(1, 1, *detector, high=1.5) - 0.1
        mask = (drawn(1, 1, *detector) > 0.25).double() if seed % 2 else None
        self.data = HalfSpectrum(y, mask, size)
        shape = self.data.mean.shape
        self.v = (torch.full((1, *shape), v) if v else 10 ** drawn(1, *shape, low=-3, high=1)).double()
        self.weight = 10 ** drawn(1, 1, *size, low=-2, high=1) if weight is None else torch.full((1, 1, *size), weight)
        self.weight = self.weight.double()
        self.u0, self.start = drawn(1, 1, *size, low=-0.2, high=1.2), drawn(1, 1, *size)

    def objective(self, u, u0=None):
        """sigma² J, with the exact logarithm of I0; a pair of which one recording is dead counts half."""
        y, amplitude = self.data.mean, self.data.transform(u).abs()
        likelihood = amplitude.square() - self.v * log_i0(2 * y * amplitude / self.v)
        counted = self.data.copies * self.data.recorded / 2
        distance = self.weight * (u - (self.u0 if u0 is None else u0)).square()
        return float((counted * likelihood).sum() + distance.sum()) / 2

    def expected(self, u):
        return soft_error_reduction(u, self.data, self.v)

    def solved(self, iterations, limits=(0.0, 1.0), momentum=False, start=None, u0=None):
        start = self.start if start is None else start
        return solve(self.expected, self.u0 if u0 is None else u0, self.weight, limits, iterations, start, momentum)


@pytest.fixture
def exact_trust(monkeypatch):
    """The Bessel functions themselves, for what is claimed of them."""
    monkeypatch.setattr("sampler_lab.operators.soft_phases.phase_trust", bessel_ratio)


def rises(problem, limits, iterations=25):
    """By how much each step raised the objective, relative to how far it has fallen in all."""
    u, values = problem.start.clamp(*limits), []
    values.append(problem.objective(u))
    for _ in range(iterations):
        u = problem.solved(1, limits, start=u)
        values.append(problem.objective(u))
    fallen = max(values[0] - min(values), 1e-9)
    return [(after - before) / fallen for before, after in pairwise(values)]


def problems(number, **settings):
    return [Problem(seed, **settings) for seed in range(number)]


CASES = [{}, {"v": 0.01}, {"v": 1.0}, {"v": 100.0}, {"weight": 0.0}, {"weight": 1.0}, {"weight": 50.0}]


@pytest.mark.parametrize("limits", [(0.0, 1.0), FREE], ids=["limits", "free"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_plain_step_raises_the_objective(exact_trust, case, limits):
    worst = max(max(rises(problem, limits)) for problem in problems(8, **case))
    assert worst < 1e-10  # rounding


@pytest.mark.parametrize("limits", [(0.0, 1.0), FREE], ids=["limits", "free"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_with_the_approximate_trust_it_rises_by_next_to_nothing(case, limits):
    worst = max(max(rises(problem, limits)) for problem in problems(8, **case))
    assert worst < 1e-6  # of all that it falls; measured: 4e-8


@pytest.mark.parametrize("limits", [(0.0, 1.0), FREE], ids=["limits", "free"])
def test_momentum_reaches_the_same_fixed_point_in_fewer_rounds(limits):
    """From near to it: there are others, an object's twin to begin with."""
    plain = ahead = 0.0
    for problem in problems(2, v=0.5):
        problem.weight = problem.weight.clamp_min(0.2)
        end = problem.solved(800, limits)
        torch.testing.assert_close(problem.solved(1, limits, start=end), end, rtol=0, atol=1e-10)
        near = end + 0.05 * torch.randn(end.shape, generator=generator(), dtype=torch.float64)
        torch.testing.assert_close(problem.solved(400, limits, momentum=True, start=near), end, rtol=0, atol=1e-6)
        plain += problem.objective(problem.solved(12, limits, start=near)) - problem.objective(end)
        ahead += problem.objective(problem.solved(12, limits, momentum=True, start=near)) - problem.objective(end)
    assert 0 <= ahead < plain / 2


@pytest.mark.parametrize("limits", [(0.0, 1.0), FREE], ids=["limits", "free"])
def test_gradient_of_the_minimum_by_finite_differences(exact_trust, limits):
    """(u0 - u)/s², here in units of sigma²: w (u0 - u), the minimum following u0."""
    for problem in problems(3):
        problem.weight = problem.weight.clamp_min(0.3)
        u = problem.solved(400, limits)
        gradient = problem.weight * (problem.u0 - u)
        direction = torch.randn(u.shape, generator=generator(), dtype=torch.float64)
        minima = []
        for step in (1e-4, -1e-4):
            u0 = problem.u0 + step * direction
            minima.append(problem.objective(problem.solved(200, limits, start=u, u0=u0), u0))
        slope = (minima[0] - minima[1]) / 2e-4
        assert slope == pytest.approx(float((gradient * direction).sum()), rel=1e-5, abs=1e-6)


def test_a_pixel_without_error_stays():
    problem = Problem(3)
    weight = problem.weight.clone()
    weight[..., 1, 2] = math.inf
    u = solve(problem.expected, problem.u0, weight, (0.0, 1.0), 5)
    assert bool(u.isfinite().all())
    assert u[..., 1, 2] == problem.u0[..., 1, 2].clamp(0, 1)
    assert not torch.equal(u, problem.u0.clamp(0, 1))


def test_it_starts_where_it_is_told_and_keeps_to_the_limits():
    problem = Problem(4)
    assert torch.equal(problem.solved(0), problem.start)
    assert torch.equal(solve(problem.expected, problem.u0, problem.weight, (0.0, 1.0), 0), problem.u0)
    u = problem.solved(4, (0.2, 0.4))
    assert (float(u.min()), float(u.max())) == (0.2, 0.4)
