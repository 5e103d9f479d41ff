"""The posterior of pictures under phase retrieval: it moves nearer to the truth, row by row, within its limits."""

import math

import pytest
import torch
from operator_problems import generator, picture
from sampler_lab.diffusion.observer import Observer
from sampler_lab.operators import GaussianNoise, Measurement, PhaseRetrieval
from sampler_lab.operators.noise import PoissonNoise
from sampler_lab.operators.phaseless_posterior import PhaselessPosterior
from sampler_lab.operators.posteriors import pixel_posterior

CASES = {
    "defaults": {},
    "-1..1": {"signal_range": "-1..1"},
    "grey": {"channels": "mean"},
    "intensity": {"quantity": "intensity", "noise": GaussianNoise(0.005)},
    "poisson": {"noise": PoissonNoise(0.05)},
    "counts": {"quantity": "intensity", "noise": PoissonNoise(0.05)},
    "unclipped": {"noise": GaussianNoise(0.05, clip_negative=False)},
    "little noise": {"noise": GaussianNoise(0.001)},
    "no noise": {"noise": GaussianNoise(0.0)},
    "large detector": {"detector": (47, 60)},
    "-1..1, grey, counts": {
        "signal_range": "-1..1",
        "channels": "mean",
        "quantity": "intensity",
        "noise": PoissonNoise(0.05),
    },
}
EVERY = pytest.mark.parametrize("settings", CASES.values(), ids=CASES)
SIZES = pytest.mark.parametrize(
    ("size", "masked"), [((24, 24), False), ((16, 27), False), ((21, 15), True)], ids=["even", "odd", "dead pixels"]
)


def measured(settings, size=(24, 24), masked=False, dtype=torch.float32):
    """A truth, its measurement's posterior, and three pictures that are wrong by independent errors of 0.1."""
    operator, truth = PhaseRetrieval(**settings), picture(1, *size, seed=4, dtype=dtype)
    y = operator.noise.draw(operator(truth), generator(3))
    valid = torch.rand(y.shape, generator=generator(1)) > 0.3 if masked else None
    measurement = Measurement(y, operator, valid, size, noise_floor=1.0)  # which is not asked for here
    near = truth + 0.1 * torch.randn(3, 3, *size, generator=generator(2), dtype=dtype)
    return truth, pixel_posterior(measurement), near.clamp(-1, 1)


def corrected(posterior, x0, iterations=20, by_band=True, **options):
    """E[x | y] with the variance that the misfit says, the same for every pixel."""
    error = posterior.error(x0, by_band)
    return posterior.mean(x0, error, error.variance.reshape(-1, 1, 1, 1).expand_as(x0[:, :1]), iterations, **options)


def wrong(x, truth):
    return (x - truth).square().flatten(1).mean(1)


@EVERY
@SIZES
def test_a_picture_near_the_truth_moves_nearer_to_it(settings, size, masked):
    truth, posterior, near = measured(settings, size, masked)
    assert isinstance(posterior, PhaselessPosterior)
    for by_band in (True, False):
        after = corrected(posterior, near, by_band=by_band)
        assert after.dtype == near.dtype
        assert bool((wrong(after, truth) < wrong(near, truth)).all())


@SIZES
def test_where_it_does_not_is_known(size, masked):
    """The docstring's figures: Gaussian noise of 0.05 on intensities, of which an empty one is seen as 0.14 in rms."""
    for settings in ({}, {"signal_range": "-1..1", "channels": "mean"}):
        truth, posterior, near = measured({**settings, "quantity": "intensity"}, size, masked)
        share = wrong(corrected(posterior, near), truth) / wrong(near, truth)
        assert 1.0 < float(share.mean()) < 1.2


def test_double_precision():
    truth, posterior, near = measured({}, dtype=torch.float64)
    after = corrected(posterior, near)
    assert after.dtype == torch.float64
    assert bool((wrong(after, truth) < wrong(near, truth)).all())
    # A measurement in double precision does not make a picture double.
    mixed = corrected(posterior, near.float())
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed.double(), after, rtol=0, atol=1e-4)


@EVERY
def test_a_row_is_the_batch_of_one(settings):
    _, posterior, near = measured(settings)
    together, error = corrected(posterior, near), posterior.error(near)
    for k in range(len(near)):
        alone = posterior.error(near[k : k + 1])
        torch.testing.assert_close(error.variance[k : k + 1], alone.variance, rtol=1e-4, atol=1e-9)
        torch.testing.assert_close(error.v[k : k + 1], alone.v, rtol=1e-4, atol=1e-9)
        torch.testing.assert_close(together[k : k + 1], corrected(posterior, near[k : k + 1]), rtol=0, atol=1e-4)


@EVERY
def test_a_row_that_is_nan_stays_alone(settings):
    _, posterior, near = measured(settings)
    broken = near.clone()
    broken[1, 0, 3, 3] = math.nan
    found = corrected(posterior, broken)
    assert bool(found[1].isnan().any())
    torch.testing.assert_close(found[[0, 2]], corrected(posterior, near)[[0, 2]], rtol=0, atol=1e-4)


@EVERY
def test_it_stays_in_the_range_of_images(settings):
    """Also where the picture that comes in does not: a decoder's may be a little outside."""
    _, posterior, near = measured(settings)
    found = corrected(posterior, 1.4 * near, start=-1.3 * near)
    assert (float(found.min()), float(found.max())) == pytest.approx((-1, 1))
    assert found.abs().max() <= 1


@EVERY
@pytest.mark.parametrize("variance", [0.0, 1e-30, 1e-9])
def test_a_picture_without_error_is_kept(settings, variance):
    _, posterior, near = measured(settings)
    error = posterior.error(near)
    kept = posterior.mean(near, error, torch.full_like(near[:, :1], variance * posterior.noise_variance), 8)
    torch.testing.assert_close(kept, near, rtol=0, atol=1e-5)


def test_a_pixel_without_error_is_kept_and_the_others_move():
    _, posterior, near = measured({})
    error = posterior.error(near)
    variance = 0.01 * torch.ones_like(near[:, :1])
    variance[..., :5] = 0
    found = posterior.mean(near, error, variance, 8)
    torch.testing.assert_close(found[..., :5], near[..., :5], rtol=0, atol=1e-6)
    assert (found - near)[..., 5:].abs().amax((1, 2, 3)).min() > 0.01


def test_without_trust_in_the_picture_the_measurement_alone_is_left():
    """A large variance: the fixed point of error reduction with trust, whose residual is below the picture's."""
    operator, truth = PhaseRetrieval(), picture(1, 24, 24, seed=4)
    measurement = operator.measure(truth, 3)
    posterior, near = pixel_posterior(measurement), picture(3, 24, 24, seed=8)
    error = posterior.error(near)
    bold, shy = (posterior.mean(near, error, torch.full_like(near[:, :1], s), 60) for s in (1e6, 1e-2))
    assert bool((measurement.residual(bold) < measurement.residual(shy)).all())
    assert bool((measurement.residual(shy) < measurement.residual(near)).all())


@pytest.mark.parametrize("sigma", [0.0, 0.05])
@pytest.mark.parametrize(
    "settings", [{}, {"signal_range": "-1..1"}, {"channels": "mean"}, {"quantity": "intensity"}], ids=str
)
def test_black_and_white_pictures_have_no_nan(settings, sigma):
    """As the truth, and as what is corrected: a black one's phases are all unknown."""
    operator = PhaseRetrieval(**settings, noise=GaussianNoise(sigma))
    flat = torch.tensor([-1.0, 0.0, 1.0]).reshape(3, 1, 1, 1).expand(3, 3, 12, 12)
    for value in (-1.0, 1.0):
        posterior = pixel_posterior(operator.measure(torch.full((1, 3, 12, 12), value), 0))
        assert bool(posterior.error(flat).variance.isfinite().all())
        for momentum in (True, False):
            assert bool(corrected(posterior, flat, momentum=momentum).isfinite().all())


def test_the_truth_without_noise_is_kept_and_has_no_error():
    truth, posterior, _ = measured({"noise": GaussianNoise(0.0)}, dtype=torch.float64)
    assert float(posterior.error(truth).variance) <= 1e-10
    torch.testing.assert_close(corrected(posterior, truth), truth, rtol=0, atol=1e-6)


def test_the_smallest_errors_that_are_believed_in():
    """Less misfit than noise: of a picture that fits the noise itself."""
    operator, truth = PhaseRetrieval(noise=GaussianNoise(0.05, clip_negative=False)), picture(1, 24, 24, seed=4)
    posterior = pixel_posterior(Measurement(operator(truth), operator, image_shape=(24, 24)))
    error = posterior.error(truth)
    noise = 0.05**2
    assert posterior.noise_variance == pytest.approx(noise / 0.25)  # an image is twice as large as its signal
    assert float(error.variance) == pytest.approx(0.008 * noise / 0.25)
    assert float(error.v.min()) == float(error.v.max()) == pytest.approx(0.04 * noise)


def test_one_variance_for_all_frequencies():
    """By Parseval that of a pixel, spread over the frame."""
    _, posterior, near = measured({})
    error = posterior.error(near, by_band=False)
    assert error.v.shape == posterior.error(near).v.shape
    torch.testing.assert_close(error.v[:, 0, 0, 0], error.variance * 0.25 * (24 * 24) / (36 * 36))
    assert bool((error.v == error.v[:, :1, :1, :1]).all())
    assert torch.equal(error.variance, posterior.error(near).variance)
    assert len(posterior.error(near).v[0].unique()) > 3


def test_channels_of_which_the_mean_is_seen_move_alike():
    _, posterior, near = measured({"channels": "mean", "noise": GaussianNoise(0.001)})
    small = 0.3 * near  # far from the limits
    moved = corrected(posterior, small) - small
    torch.testing.assert_close(moved[:, 0], moved[:, 1], rtol=0, atol=1e-6)
    torch.testing.assert_close(moved[:, 0], moved[:, 2], rtol=0, atol=1e-6)
    assert moved.abs().max() > 0.01


def test_every_iteration_can_be_cancelled():
    asked = []

    class Cancel(Observer):
        def raise_if_cancelled(self):
            asked.append(None)
            if len(asked) == 4:
                raise InterruptedError

    _, _, near = measured({})
    posterior = pixel_posterior(PhaseRetrieval().measure(near[:1], 0), Cancel())
    with pytest.raises(InterruptedError):
        corrected(posterior, near)
    assert len(asked) == 4


def test_it_works_where_comfyui_runs_nodes():
    with torch.inference_mode():
        _, posterior, near = measured({})
        inside = corrected(posterior, near)
    torch.testing.assert_close(corrected(posterior, near.clone()), inside)
