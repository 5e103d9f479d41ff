"""What holds of every operator in the catalogue and of every noise model: whoever adds one gets these tests."""

import json
from dataclasses import FrozenInstanceError, fields, replace

import pytest
import torch
from operator_problems import generator, picture
from sampler_lab.operators import OPERATORS, Grey, Measurement, Operator, PoissonNoise
from sampler_lab.operators.files import load_measurement, save_measurement
from sampler_lab.operators.noise import NOISE_MODELS
from sampler_lab.operators.preview import preview

EVERY_OPERATOR = pytest.mark.parametrize("kind", OPERATORS.values(), ids=list(OPERATORS))
EVERY_NOISE = pytest.mark.parametrize("noise", NOISE_MODELS.values(), ids=list(NOISE_MODELS))


@EVERY_OPERATOR
def test_names_are_unique_and_say_what_it_is(kind):
    assert kind.name
    assert kind.__doc__
    own, of_noise = ({each.name for each in options} for options in (kind.options(), _noise_options()))
    assert not own & (of_noise | {"noise", "operator"})
    assert [each.name for each in kind.settings() if not each.description] == []


def _noise_options():
    return [each for model in NOISE_MODELS.values() for each in model.options()]


@EVERY_OPERATOR
def test_defaults_are_allowed_and_nothing_can_be_changed(kind):
    operator = kind()
    assert {each.name: operator.to_dict()[each.name] for each in kind.settings()} == {
        each.name: each.default for each in kind.settings()
    }
    with pytest.raises(FrozenInstanceError):
        operator.noise = None
    with pytest.raises(ValueError, match=r"^noise is 'gaussian'; it must be a noise model, for example GaussianNoise"):
        kind(noise="gaussian")


@EVERY_OPERATOR
@pytest.mark.parametrize("size", [(8, 8), (9, 12)])
def test_shapes_precision_and_rows(kind, size):
    operator, images = kind(), picture(3, *size)
    y = operator(images)
    assert tuple(y.shape[1:]) == operator.measurement_shape(size)
    assert operator.image_shape(tuple(y.shape[-2:])) == size
    assert (y.dtype, operator(images.double()).dtype, operator(images.half()).dtype) == (
        torch.float32,
        torch.float64,
        torch.float32,
    )
    torch.testing.assert_close(operator(images[1:2]), y[1:2], rtol=0, atol=1e-6)
    for wrong in (images[0], images.to(torch.complex64), images.byte()):
        with pytest.raises(ValueError, match=r"^image "):
            operator(wrong)


@EVERY_OPERATOR
def test_gradients_reach_the_image(kind):
    measurement = kind().measure(picture(1, 8, 8), 0)
    image = picture(2, 8, 8, seed=1).requires_grad_(True)
    (gradient,) = torch.autograd.grad(measurement.residual(image).sum(), image)
    assert gradient.isfinite().all()
    assert gradient.abs().amax((1, 2, 3)).min() > 0


@EVERY_OPERATOR
def test_symmetries_leave_the_measurement_as_it_is(kind):
    operator, image = kind(), picture(1, 8, 8, dtype=torch.float64)
    assert operator.symmetries[0].name == "identity"
    for symmetry in operator.symmetries:
        torch.testing.assert_close(operator(symmetry(image)), operator(image), rtol=0, atol=1e-12)


@EVERY_OPERATOR
def test_a_measurement_is_simulated_described_shown_and_saved(kind, tmp_path):
    operator = kind()
    measurement = operator.measure(picture(1, 8, 8), 5)
    assert torch.equal(measurement.y, operator.measure(picture(1, 8, 8), 5).y)
    assert not torch.equal(measurement.y, operator.measure(picture(1, 8, 8), 6).y)
    said = json.loads(json.dumps(measurement.describe()))
    assert (said["operator"]["operator"], said["values"]) == (kind.name, measurement.y.numel())
    shown = preview(measurement)
    assert shown.shape == (1, 3, *measurement.y.shape[-2:])
    assert 0 <= shown.min() < shown.max() <= 1
    save_measurement(measurement, tmp_path / "a.npz")
    back = load_measurement(tmp_path / "a.npz")
    assert (back.operator, back.noise_floor) == (operator, measurement.noise_floor)
    assert torch.equal(back.y, measurement.y)


@EVERY_OPERATOR
@EVERY_NOISE
def test_settings_survive_json(kind, noise):
    operator = kind(noise=noise(0.1))
    said = json.loads(json.dumps(operator.to_dict()))
    assert OPERATORS[said["operator"]].from_dict(said) == operator
    assert kind.from_dict({**said, "from_the_future": 1}) == operator
    assert kind.from_dict({}) == kind()


@EVERY_OPERATOR
def test_wrong_settings_are_named(kind):
    for each in kind.settings():
        for wrong in (None, [1], "neither nor", float("nan"), 10**400, -1e300):
            if isinstance(each.default, str) and not each.choices and isinstance(wrong, str):
                continue
            with pytest.raises(ValueError, match=rf"^{each.name} is .*; .*\.$"):
                kind.from_dict({each.name: wrong})


@EVERY_OPERATOR
def test_the_floor_is_the_expected_residual_of_the_truth(kind):
    operator, truth = kind(), picture(1, 24, 24)
    residuals = torch.tensor([operator.measure(truth, seed).residual(truth).item() for seed in range(60)])
    interval = 4.5 * residuals.std().item() / len(residuals) ** 0.5
    assert operator.noise_floor(truth) == pytest.approx(residuals.mean().item(), abs=interval)
    assert operator.measure(truth, 0).noise_floor == pytest.approx(operator.noise_floor(truth), rel=0.1)


@EVERY_OPERATOR
def test_the_likelihood_counts_valid_pixels_only(kind):
    measurement = kind().measure(picture(1, 8, 8), 0)
    mask = torch.rand(measurement.y.shape, generator=generator(1)) > 0.5
    halves = [Measurement(measurement.y, measurement.operator, each, (8, 8)) for each in (mask, ~mask)]
    image = picture(2, 8, 8, seed=1)
    sums = sum(half.negative_log_likelihood(image) for half in halves)
    torch.testing.assert_close(sums, measurement.negative_log_likelihood(image))


@EVERY_NOISE
def test_a_noise_model_in_both_precisions(noise):
    values = torch.linspace(0.1, 2, 50)
    y = noise().draw(values, generator(0))
    again = noise().draw(values.double(), generator(0))
    torch.testing.assert_close(again.float(), y, rtol=0, atol=1e-5)
    assert noise().negative_log_likelihood(y, values).shape == values.shape
    assert noise.summary.endswith(".")
    assert noise(0.1) == replace(noise(), noise_sigma=0.1)
    assert {each.name for each in noise.options()} <= {each.name for each in fields(noise)}


def test_an_operator_needs_no_more_than_what_it_computes():
    """The recipe of CONTRIBUTING.md."""

    class Double(Operator):
        def __call__(self, image):
            return 2 * image

    measurement = Double().measure(picture(1, 8, 8), 0)
    assert measurement.residual(picture(1, 8, 8)).item() == pytest.approx(measurement.noise_floor, rel=0.5)
    assert preview(measurement).shape == (1, 3, 8, 8)


def test_nobody_counts_a_negative_number_of_photons():
    with pytest.raises(ValueError, match=r"values go down to -.*, and nothing is counted below 0; use gaussian noise"):
        Grey(noise=PoissonNoise()).measure(picture(1, 8, 8), 0)
