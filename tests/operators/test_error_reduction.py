"""Error reduction is a gradient step, never raises the residual, and stays at the truth; HIO solves an easy problem."""

import pytest
import torch
from operator_problems import Halving, disc, generator, picture
from sampler_lab.diffusion.observer import Observer
from sampler_lab.operators import GaussianNoise, Measurement, PhaseRetrieval
from sampler_lab.operators.classical.error_reduction import error_reduction
from sampler_lab.operators.classical.hybrid_input_output import best_channels, hybrid_input_output
from sampler_lab.operators.classical.raar import relaxed_reflections


def residual(u, measurement):
    return measurement.residual(measurement.operator.image(u))


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("signal_range", ["0..1", "-1..1"])
@pytest.mark.parametrize("detector", [None, (25, 30)])
@pytest.mark.parametrize("masked", [False, True])
def test_gradient_of_the_residual_is_twice_the_step(clip, signal_range, detector, masked):
    operator = PhaseRetrieval(signal_range=signal_range, detector=detector, noise=GaussianNoise(clip_negative=clip))
    measurement = operator.measure(picture(dtype=torch.float64), 0)
    if masked:
        mask = torch.rand(measurement.y.shape, generator=generator(1)) > 0.3
        measurement = Measurement(measurement.y, operator, mask, (16, 16))
    u = operator.object(picture(2, seed=9, dtype=torch.float64)).requires_grad_(True)
    (gradient,) = torch.autograd.grad(residual(u, measurement).sum(), u)
    step = u.detach() - error_reduction(u.detach(), measurement)
    torch.testing.assert_close(gradient, 2 * step, rtol=1e-9, atol=1e-11)


def test_gradient_identity_for_grey_data():
    operator = PhaseRetrieval(channels="mean")
    measurement = operator.measure(picture(dtype=torch.float64), 0)
    u = operator.object(picture(seed=9, dtype=torch.float64)).requires_grad_(True)
    (gradient,) = torch.autograd.grad((operator.spectrum(u).abs() - measurement.y).square().sum(), u)
    step = u.detach() - error_reduction(u.detach(), measurement)
    torch.testing.assert_close(gradient, 2 * step, rtol=1e-9, atol=1e-11)


def test_never_raises_the_residual():
    measurement = PhaseRetrieval().measure(picture(), 0)
    u = torch.rand(3, 3, 16, 16, generator=generator())
    last = residual(u, measurement)
    for _ in range(30):
        u = error_reduction(u, measurement)
        now = residual(u, measurement)
        assert (now <= last * (1 + 1e-5)).all()
        last = now


@pytest.mark.parametrize("quantity", ["amplitude", "intensity"])
def test_the_truth_is_a_fixed_point_without_noise(quantity):
    operator = PhaseRetrieval(quantity=quantity, noise=GaussianNoise(0.0))
    measurement = operator.measure(picture(dtype=torch.float64), 0)
    u = operator.object(picture(dtype=torch.float64))
    torch.testing.assert_close(error_reduction(u, measurement), u, rtol=0, atol=1e-12)


def test_black_stays_finite():
    measurement = PhaseRetrieval().measure(picture(), 0)
    assert error_reduction(torch.zeros(1, 3, 16, 16), measurement).abs().max() == 0


EVERY_PROJECTION = pytest.mark.parametrize(
    "project", [hybrid_input_output, relaxed_reflections], ids=lambda function: function.__name__
)


def psnr(image, reference):
    return -10 * ((image - reference) / 2).square().mean().log10().item()


@EVERY_PROJECTION
def test_an_easy_problem_is_solved(project):
    """No noise, twice the samples per axis, an object that leaves most of its frame empty."""
    truth = disc(16, 5.0)
    measurement = PhaseRetrieval(oversample=4.0, noise=GaussianNoise(0.0)).measure(truth, 0)
    images = project(measurement, restarts=4, iterations=400, seed=1)
    assert images.shape == (4, 3, 16, 16)
    assert images.abs().max() <= 1
    flat = measurement.residual(truth.mean((2, 3), keepdim=True).expand_as(truth))
    assert measurement.residual(images).min() < 0.02 * flat
    chosen = best_channels(images, measurement)
    assert measurement.residual(chosen) <= measurement.residual(images).min() * (1 + 1e-5)


@EVERY_PROJECTION
def test_restart_k_does_not_depend_on_their_number(project):
    measurement = PhaseRetrieval().measure(picture(), 0)
    two = project(measurement, restarts=2, iterations=20, settle=5)
    three = project(measurement, restarts=3, iterations=20, settle=5)
    torch.testing.assert_close(two, three[:2], rtol=0, atol=1e-4)
    other = project(measurement, restarts=2, iterations=20, settle=5, seed=1)
    assert (two - other).abs().max() > 0.1


def test_best_channels_takes_and_turns_each_channel():
    truth = picture()
    measurement = PhaseRetrieval(noise=GaussianNoise(0.0)).measure(truth, 0)
    grey = picture(seed=3)[:, :1].expand(-1, 3, -1, -1)
    measurement = PhaseRetrieval(noise=GaussianNoise(0.0)).measure(grey, 0)
    good, bad = grey.clone(), torch.zeros_like(grey)
    good[:, 1] = good[:, 1].flip((1, 2))  # a perfect fit, upside down
    good[:, 2] = 0.0
    bad[:, 2] = grey[:, 2]
    assert torch.equal(best_channels(torch.cat([bad, good]), measurement), grey)


@EVERY_PROJECTION
def test_settling_alone_is_error_reduction_with_limits(project):
    measurement = PhaseRetrieval().measure(picture(), 0)
    images = project(measurement, restarts=1, iterations=25, settle=25)
    start = project(measurement, restarts=1, iterations=1, settle=1)
    assert measurement.residual(images) < measurement.residual(start)


@EVERY_PROJECTION
def test_every_iteration_can_be_cancelled(project):
    class Cancel(Observer):
        asked = 0

        def raise_if_cancelled(self):
            self.asked += 1
            if self.asked == 8:
                raise InterruptedError

    measurement, cancel = PhaseRetrieval().measure(picture(), 0), Cancel()
    project(measurement, restarts=1, iterations=7, settle=2, observer=cancel)
    assert cancel.asked == 7
    with pytest.raises(InterruptedError):
        project(measurement, restarts=1, iterations=7, settle=2, observer=cancel)
    assert cancel.asked == 8


@EVERY_PROJECTION
@pytest.mark.parametrize("wrong", [{"restarts": 0}, {"iterations": 0, "settle": 0}, {"iterations": 5, "settle": 6}])
def test_refuses_numbers(project, wrong):
    with pytest.raises(ValueError, match=r"restarts and iterations must be 1 or more"):
        project(PhaseRetrieval().measure(picture(), 0), **wrong)


def test_refuses_another_operator():
    measurement = Measurement(torch.ones(1, 3, 8, 8), Halving())
    with pytest.raises(ValueError, match=r"comes from Halving; error reduction needs one from Phase Retrieval"):
        error_reduction(torch.zeros(1, 3, 8, 8), measurement)
