"""How wrong a spectrum is, told by its misfit: unbiased where that is claimed, by Monte Carlo; measured elsewhere."""

import math
from dataclasses import dataclass, replace

import pytest
import torch
from operator_problems import generator
from sampler_lab.operators import GaussianNoise, Measurement, PhaseRetrieval
from sampler_lab.operators.amplitude_noise import amplitude_noise
from sampler_lab.operators.half_spectrum import HalfSpectrum
from sampler_lab.operators.misfit import Bands, MisfitVariance, Tabulated
from sampler_lab.operators.noise import PoissonNoise
from sampler_lab.operators.phaseless_posterior import PhaselessPosterior

NOISES = {
    "unclipped": PhaseRetrieval(noise=GaussianNoise(0.05, clip_negative=False)),
    "clipped": PhaseRetrieval(noise=GaussianNoise(0.05)),
    "poisson": PhaseRetrieval(noise=PoissonNoise(0.05)),
    "intensity": PhaseRetrieval(quantity="intensity", noise=GaussianNoise(0.05)),
    "counts": PhaseRetrieval(quantity="intensity", noise=PoissonNoise(0.05)),
}
EVERY_NOISE = pytest.mark.parametrize("operator", NOISES.values(), ids=NOISES)
SIZES = [(24, 24), (21, 15), (16, 40)]


def drawn(operator, amplitude, random):
    """The amplitudes that methods of phase retrieval are given of noisy recordings."""
    if operator.quantity == "intensity":
        return operator.noise.draw(amplitude.square(), random).clamp_min(0).sqrt()
    return operator.noise.draw(amplitude, random)


# -- bands -------------------------------------------------------------------------------------------------------------


def empty(size, mask=None, channels=3):
    return HalfSpectrum(torch.zeros(1, channels, *size, dtype=torch.float64), mask, size)


@pytest.mark.parametrize("size", SIZES)
def test_every_frequency_is_in_one_band_and_no_band_is_empty(size):
    data = empty(size)
    bands = Bands(data)
    assert sorted(bands.index.unique().tolist()) == list(range(bands.count))
    order = data.radius().flatten().argsort()
    assert bool((bands.index.flatten()[order].diff() >= 0).all())  # rings: no frequency beyond one of a later band
    means = torch.randn(2, 3, bands.count, generator=generator(), dtype=torch.float64)
    torch.testing.assert_close(bands.mean(bands.spread(means)), means)


def test_there_are_as_many_as_is_said():
    assert [Bands(empty((n, n), channels=1)).count for n in (96, 384)] == [13, 21]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("masked", [False, True])
def test_means_are_those_over_the_valid_recordings_of_the_whole_detector(size, masked):
    """Every recording counts once, on whichever side of the half it lies."""
    valid = torch.rand(1, 3, *size, generator=generator(1)) > (0.4 if masked else -1)
    data = empty(size, valid.double())
    bands = Bands(data)
    index = _whole(bands.index.double(), size).long().expand(3, -1, -1)
    values = torch.rand(1, 3, *data.mean.shape[-2:], generator=generator(2), dtype=torch.float64)
    values = values + _opposite(values)  # the same at k and -k, as all that is averaged here
    whole, alive = _whole(values[0], size), torch.fft.ifftshift(valid[0], dim=(-2, -1))
    means = bands.mean(values)
    for channel in range(3):
        for band in range(bands.count):
            there = alive[channel] & (index[channel] == band)
            expected = whole[channel][there].mean() if bool(there.any()) else torch.zeros(())
            assert means[0, channel, band].item() == pytest.approx(float(expected), rel=1e-12)
    torch.testing.assert_close(bands.mean_of_all(means), whole[alive].mean()[None])


def _opposite(values):
    """The values at -k of the first (and last) column, where both are in the half; elsewhere the values themselves."""
    found = values.clone()
    found[..., 0] = values[..., 0].flip(-1).roll(1, -1)
    found[..., -1] = values[..., -1].flip(-1).roll(1, -1)
    return found


def _whole(values, size):
    """The whole spectrum ``[..., h, w]`` of values ``[..., h, w // 2 + 1]`` that are the same at k and -k."""
    rows, columns = (torch.arange(n) for n in size)
    left = columns <= size[1] // 2
    row = torch.where(left[None], rows[:, None], -rows[:, None] % size[0])
    column = torch.where(left[None], columns[None], -columns[None] % size[1])
    return values[..., row, column]


# -- v of a band -------------------------------------------------------------------------------------------------------


def own_opposites(size):
    """0 at the four frequencies k = -k of a detector, whose errors are real."""
    valid = torch.ones(1, 1, *size, dtype=torch.float64)
    for row in {0, size[0] // 2} if size[0] % 2 == 0 else {0}:
        for column in {0, size[1] // 2} if size[1] % 2 == 0 else {0}:
            valid[0, 0, row, column] = 0
    return torch.fft.fftshift(valid, dim=(-2, -1))


@dataclass
class Experiment:
    """A spectrum U = a (a bright point's) whose error has variance v_b in band b, recorded over and over.

    The errors are a real object's; where they are real they are left out (see the test of those).
    """

    operator: PhaseRetrieval
    a: float
    v: float
    size: tuple[int, int] = (24, 24)
    masked: bool = False
    trials: int = 60

    def __post_init__(self):
        self.random = generator(5)
        valid = own_opposites(self.size)
        if self.masked:
            valid = valid * (torch.rand(1, 3, *self.size, generator=self.random) > 0.3)
        self.valid = valid.expand(1, 3, -1, -1)
        self.blank = empty(self.size, self.valid)
        self.bands = Bands(self.blank)
        self.v_of_bands = self.v * (0.5 + torch.rand(self.bands.count, generator=self.random, dtype=torch.float64))

    def errors(self):
        """E, ``[1, 3, h, w // 2 + 1]``: the transform of white noise, coloured."""
        white = torch.randn(1, 3, *self.size, generator=self.random, dtype=torch.float64)
        return self.v_of_bands[self.bands.index].sqrt() * self.blank.transform(white)

    def estimates(self):
        """Of every trial: v of the bands ``[trials, bands]``, meant over the channels, and of all ``[trials]``."""
        found = []
        for _ in range(self.trials):
            amplitude = _whole((self.a + self.errors()).abs(), self.size)
            y = torch.fft.fftshift(drawn(self.operator, amplitude, self.random), dim=(-2, -1))
            data = HalfSpectrum(y, self.valid, self.size)
            u = torch.full((1, *data.mean.shape), self.a, dtype=torch.float64)
            found.append(MisfitVariance(data, amplitude_noise(self.operator), self.bands)(u))
        by_band, of_all = (torch.cat(each) for each in zip(*found, strict=True))
        return by_band.mean(1), of_all

    def ratio(self):
        """The mean estimate of all over the truth, and its standard error."""
        _, of_all = self.estimates()
        truth = float(self.bands.mean_of_all(self.v_of_bands.expand(1, 3, -1)))
        return float(of_all.mean()) / truth, float(of_all.std()) / math.sqrt(self.trials) / truth


@EVERY_NOISE
@pytest.mark.parametrize("masked", [False, True], ids=["all", "dead pixels"])
def test_v_of_every_band_is_unbiased(operator, masked):
    """|U| is 20 standard deviations of the noise and ten of the error: 4.5 standard errors, and the next order."""
    experiment = Experiment(operator, a=1.0, v=0.01, masked=masked)
    by_band, of_all = experiment.estimates()
    truth = torch.cat([experiment.v_of_bands, experiment.bands.mean_of_all(experiment.v_of_bands.expand(1, 3, -1))])
    found = torch.cat([by_band, of_all[:, None]], dim=1)
    interval = 4.5 * found.std(0) / math.sqrt(len(found)) + truth.square() / (8 * experiment.a**2)
    assert bool(((found.mean(0) - truth).abs() < interval).all())
    assert (interval / truth)[-1] < 0.06  # so that this says something


def rice_share(v, a):
    """What the formula makes of noiseless amplitudes, over v: 2 E(|U*| - a)²/v, by the mean of a Rice distribution."""
    x = torch.as_tensor(a * a / (2 * v), dtype=torch.float64)
    mean = math.sqrt(math.pi * v / 4) * float((1 + 2 * x) * torch.special.i0e(x) + 2 * x * torch.special.i1e(x))
    return 2 * (2 * a * a + v - 2 * a * mean) / v


def test_the_share_that_is_told_where_an_error_is_as_large_as_its_value():
    """The docstring's figures: the next order, an eighth less at v = |U|², twice as much where there is no U."""
    assert rice_share(0.08, 1.0) == pytest.approx(1 - 0.08 / 8, abs=1e-3)
    shares = {v: rice_share(v, 1.0) for v in (0.25, 1.0, 4.0, 100.0)}
    assert list(shares.values()) == pytest.approx([0.96, 0.87, 1.01, 1.68], abs=0.01)
    assert rice_share(1.0, 1e-9) == pytest.approx(2.0)
    assert min(rice_share(0.1 * k, 1.0) for k in range(1, 100)) == pytest.approx(0.87, abs=0.01)


@pytest.mark.parametrize("a", [0.0, 0.1, 0.2, 0.5, 1.0])
def test_large_errors_by_monte_carlo(a):
    """The same, of whole spectra: v is about 0.04 and nearly no noise."""
    experiment = Experiment(PhaseRetrieval(noise=GaussianNoise(1e-4, clip_negative=False)), a, v=0.04)
    expected = experiment.v_of_bands * torch.tensor([rice_share(float(v), a) for v in experiment.v_of_bands])
    _, of_all = experiment.estimates()
    truth = float(experiment.bands.mean_of_all(expected.expand(1, 3, -1)))
    interval = 4.5 * float(of_all.std()) / math.sqrt(len(of_all))
    assert float(of_all.mean()) == pytest.approx(truth, abs=interval)


def test_of_two_unrelated_spectra_it_takes_less_than_half():
    """Both circular normal of variance 1: E|E|² = 2, and 2 E(|U*| - |U|)² = 4 - pi."""
    size, random = (32, 32), generator(3)
    u, other = torch.randn(2, 1, 3, *size, generator=random, dtype=torch.float64)
    blank = empty(size)
    y = torch.fft.fftshift(_whole(blank.transform(other).abs(), size), dim=(-2, -1))
    misfit = MisfitVariance(HalfSpectrum(y, None, size), torch.zeros_like, Bands(blank))
    assert float(misfit(blank.transform(u).abs())[1]) / 2 == pytest.approx(2 - math.pi / 2, rel=0.06)


#: |U| in standard deviations of an amplitude's noise: the share of v that is told, where v is a third of that variance.
DIM = {
    "unclipped": {0.0: 2.0, 1.0: 0.94, 3.0: 1.0},
    "clipped": {0.0: 3.8, 1.0: 0.86, 3.0: 1.0},
    "poisson": {0.0: 2.0, 1.0: 0.55, 2.0: 0.63, 5.0: 1.07, 10.0: 1.0},
    "intensity": {3.0: 0.07, 10.0: 1.05},
}


@pytest.mark.parametrize(("name", "a"), [(name, a) for name, shares in DIM.items() for a in shares])
def test_amplitudes_that_drown_in_the_noise(name, a):
    """The noise is taken to be 0 in the mean whatever the amplitude, which it is not where it is clipped or rooted."""
    share, error = Experiment(NOISES[name], a * 0.05, v=0.3 * 0.05**2).ratio()
    assert share == pytest.approx(DIM[name][a], abs=4.5 * error + 0.05)


def test_the_error_is_real_where_a_frequency_is_its_own_opposite():
    """Such a one moves the amplitude with all of itself, so it counts twice: four frequencies of a detector."""
    size, random = (8, 8), generator(1)
    blank = empty(size, 1 - own_opposites(size))
    errors = 0.01 * blank.transform(torch.randn(2000, 3, *size, generator=random, dtype=torch.float64))
    there = blank.recorded[0] > 0
    assert int(there.sum()) == 4
    squares = ((1 + errors).abs() - 1)[..., there].square().flatten()
    assert 2 * float(squares.mean()) / 0.01**2 == pytest.approx(2, abs=4.5 * 2 * 2**0.5 / math.sqrt(len(squares)))


# -- the whole picture -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [{}, {"signal_range": "-1..1"}, {"channels": "mean"}, {"detector": (33, 40)}, {"oversample": 0.0}],
    ids=str,
)
@pytest.mark.parametrize("masked", [False, True], ids=["all", "dead pixels"])
def test_the_pixels_error_is_the_mean_squared_error(settings, masked):
    """Parseval, in units of images. White noise in the picture makes most amplitudes large beside their errors."""
    size, s, random = (24, 20), 0.05, generator(2)
    operator = PhaseRetrieval(**settings, noise=GaussianNoise(0.002, clip_negative=False))
    truth = torch.rand(1, 3, *size, generator=random, dtype=torch.float64) * 2 - 1
    estimates, errors = [], []
    for seed in range(20):
        measurement = operator.measure(truth, seed)
        if masked:
            valid = torch.rand(measurement.y.shape, generator=random) > 0.3
            measurement = Measurement(measurement.y, operator, valid, size)
        x0 = truth + s * torch.randn(truth.shape, generator=random, dtype=torch.float64)
        estimates.append(float(PhaselessPosterior(measurement).error(x0).variance))
        errors.append(float((x0 - truth).square().mean()))
    found, interval = torch.tensor(estimates), 4.5 * torch.tensor(estimates).std().item() / math.sqrt(len(estimates))
    assert found.mean().item() == pytest.approx(sum(errors) / len(errors), abs=interval + 0.03 * s**2)


# -- the table ---------------------------------------------------------------------------------------------------------


@EVERY_NOISE
@pytest.mark.parametrize(("largest", "sigma"), [(3.0, 0.05), (30.0, 0.05), (1000.0, 0.05), (30.0, 0.01)])
def test_the_table_is_the_function(operator, largest, sigma):
    """Amplitudes to 1000 are those of a picture of 2,000 pixels a side."""
    operator = replace(operator, noise=replace(operator.noise, noise_sigma=sigma))
    function, random = amplitude_noise(operator), generator(1)
    a = torch.cat([torch.rand(4000, generator=random), largest * torch.rand(4000, generator=random)]).clamp_max(largest)
    exact = function(a.double())
    table = Tabulated(function, largest)
    for dtype in (torch.float32, torch.float64):
        found = table(a.to(dtype))
        assert found.dtype == dtype
        assert (found - exact).abs().max() <= (largest + 10) * 1e-6 * (0.05 / sigma) * exact.max()


def test_beyond_the_table_the_last_value_stands_and_nan_stays_nan():
    table = Tabulated(lambda a: 2 * a, 3.0)
    assert table(torch.tensor([0.0, 1.5, 3.0, 7.0])).tolist() == pytest.approx([0, 3, 6, 6], abs=1e-5)
    assert table(torch.tensor([math.nan, 1.5])).isnan().tolist() == [True, False]
