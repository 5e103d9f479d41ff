"""The likelihoods against torch.distributions, exact probabilities and finite differences, and against the residual."""

import math

import pytest
import torch
from operator_problems import generator, picture
from sampler_lab.operators import GaussianNoise, Measurement, PhaseRetrieval, PoissonNoise
from torch.distributions import Normal, Poisson

SIGMA = 0.05
A = torch.tensor([0.0, 0.02, 0.05, 0.2, 1.5], dtype=torch.float64)


def test_gaussian():
    y = A.flip(0) - 0.1
    found = GaussianNoise(SIGMA, clip_negative=False).negative_log_likelihood(y, A)
    torch.testing.assert_close(found, -Normal(A, SIGMA).log_prob(y))


def test_clipped_gaussian_is_a_density_and_a_mass():
    noise = GaussianNoise(SIGMA)
    y = torch.tensor([0.03, 0.1, 0.4, 0.01, 1.6], dtype=torch.float64)
    torch.testing.assert_close(noise.negative_log_likelihood(y, A), -Normal(A, SIGMA).log_prob(y))
    mass = Normal(A, SIGMA).cdf(torch.zeros_like(A))
    for clipped in (0.0, -0.3):
        found = noise.negative_log_likelihood(torch.full_like(A, clipped), A)
        torch.testing.assert_close(found[:4], -mass[:4].log())
    assert found[0] == pytest.approx(math.log(2))
    # 30 sigma below: the mass is 5e-198, its logarithm that of the asymptotic series -s^2/2 - log(s sqrt(2 pi)) ...
    assert found[4].item() == pytest.approx(450 + math.log(30 * math.sqrt(2 * math.pi)) + 1 / 900, rel=1e-6)


@pytest.mark.parametrize("a", A.tolist())
def test_clipped_gaussian_sums_to_one(a):
    grid = torch.linspace(0, a + 12 * SIGMA, 200_001, dtype=torch.float64)[1:]
    value = torch.tensor([a], dtype=torch.float64)
    noise = GaussianNoise(SIGMA)
    density = torch.trapezoid(torch.exp(-noise.negative_log_likelihood(grid, value)), grid)
    mass = torch.exp(-noise.negative_log_likelihood(torch.zeros_like(value), value))
    assert (density + mass).item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("quantity", ["amplitude", "intensity"])
def test_poisson_is_the_probability_of_the_counts(quantity):
    noise = PoissonNoise(SIGMA).of(quantity)
    counts = torch.arange(0, 400, dtype=torch.float64)
    for intensity in (0.01, 0.2, 1.3):
        values = torch.full_like(counts, intensity if quantity == "intensity" else math.sqrt(intensity))
        y = counts / 100 if quantity == "intensity" else (counts / 100).sqrt()
        found = noise.negative_log_likelihood(y, values)
        torch.testing.assert_close(found, -Poisson(torch.tensor(100 * intensity).double()).log_prob(counts))
        assert torch.exp(-found).sum().item() == pytest.approx(1)


def test_poisson_in_the_dark():
    """No counts at no rate are certain; counts at no rate are as good as impossible, and no gradient is NaN."""
    for quantity in ("amplitude", "intensity"):
        noise = PoissonNoise(SIGMA).of(quantity)
        values = torch.zeros(2, requires_grad=True)
        found = noise.negative_log_likelihood(torch.tensor([0.0, 0.5]), values)
        found.sum().backward()
        assert found[0] == 0
        assert found[1] > 100
        assert values.grad.isfinite().all()


MODELS = [
    GaussianNoise(SIGMA),
    GaussianNoise(SIGMA, clip_negative=False),
    PoissonNoise(SIGMA),
    PoissonNoise(SIGMA).of("intensity"),
]


@pytest.mark.parametrize("noise", MODELS, ids=str)
def test_gradients_are_those_of_finite_differences(noise):
    values = torch.linspace(0.03, 1.2, 40, dtype=torch.float64)
    y = noise.draw(values, generator(1))
    y[:3] = 0  # clipped, or no counts
    assert torch.autograd.gradcheck(
        lambda a: noise.negative_log_likelihood(y, a), values.clone().requires_grad_(True), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("noise", MODELS, ids=str)
@pytest.mark.parametrize("a", [0.05, 0.3, 1.0])
def test_the_truth_is_the_likeliest_on_average(noise, a):
    """E -log p(y | a') is smallest at a' = a (Gibbs): its slope there is 0, within 4.5 standard errors."""
    truth = torch.full((100_000,), a, dtype=torch.float64)
    y = noise.draw(truth, generator(4))
    values = truth.clone().requires_grad_(True)
    (slopes,) = torch.autograd.grad(noise.negative_log_likelihood(y, values).sum(), values)
    assert abs(slopes.mean().item()) < 4.5 * slopes.std().item() / math.sqrt(len(slopes))
    for other in (0.9 * a, 1.1 * a):
        worse = noise.negative_log_likelihood(y, torch.full_like(truth, other)).mean()
        assert worse > noise.negative_log_likelihood(y, truth).mean()


def test_squares_are_the_likelihood_only_where_the_package_says_so():
    """What the residual is under each model, as ``operators/noise`` states it."""
    plain, clipped = GaussianNoise(SIGMA, clip_negative=False), GaussianNoise(SIGMA)
    a = torch.linspace(0.0, 0.5, 11, dtype=torch.float64, requires_grad=True)

    def push(noise, y):
        return torch.autograd.grad(noise.negative_log_likelihood(y, a).sum(), a)[0]

    y = torch.full_like(a, 0.2).detach()
    torch.testing.assert_close(push(plain, y), (a.detach() - y) / SIGMA**2)
    torch.testing.assert_close(push(clipped, y), push(plain, y))
    dark = torch.zeros_like(y)
    squares, likelihood = push(plain, dark), push(clipped, dark)
    assert (likelihood > squares).all()
    assert likelihood[0] == pytest.approx(math.sqrt(2 / math.pi) / SIGMA)
    many = PoissonNoise(SIGMA)  # 100 counts per unit of intensity: 2 kappa (y - a)^2 but for its constant
    bright = torch.tensor([3.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(many.negative_log_likelihood(bright.detach() + 0.03, bright).sum(), bright)
    assert slope.item() == pytest.approx(2 * 2 * 100 * -0.03, rel=0.02)


def test_a_measurement_sums_it_per_image():
    operator = PhaseRetrieval(noise=PoissonNoise())
    measurement = operator.measure(picture(), 0)
    images = picture(2, seed=3).requires_grad_(True)
    found = measurement.negative_log_likelihood(images)
    expected = [
        -Poisson(100 * operator(x[None]).square()).log_prob((100 * measurement.y.square()).round()).sum()
        for x in images
    ]
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-4, atol=1e-2)
    (gradient,) = torch.autograd.grad(found.sum(), images)
    assert gradient.isfinite().all()
    assert measurement.negative_log_likelihood(picture()) < found.min()
    with pytest.raises(ValueError, match=r"is of an image of 16×16; use a latent"):
        measurement.negative_log_likelihood(torch.zeros(1, 3, 8, 8))


def test_no_noise_has_no_likelihood():
    measurement = Measurement(torch.ones(1, 3, 24, 24), PhaseRetrieval(noise=GaussianNoise(0.0)))
    with pytest.raises(ValueError, match=r"noise_sigma is 0, so the likelihood has no density; give it the noise"):
        measurement.negative_log_likelihood(picture())
