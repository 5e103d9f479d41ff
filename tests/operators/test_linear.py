"""Every linear operator of the catalogue, and two more: adjointness, and that a proximal step is the best one."""

import pytest
import torch
from linear_problem import Scale
from operator_problems import Blend, Halving, generator, picture
from sampler_lab.operators import OPERATORS, Grey, LinearOperator
from sampler_lab.operators.conjugate_gradients import conjugate_gradients

LINEAR = [kind() for kind in OPERATORS.values() if issubclass(kind, LinearOperator)] + [Halving(), Blend()]
EVERY = pytest.mark.parametrize("operator", LINEAR, ids=lambda operator: type(operator).__name__)


def random(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def test_there_is_one_in_the_catalogue():
    assert len(LINEAR) > 2


@EVERY
def test_it_is_linear(operator):
    x, z = random(2, 3, 6, 8), random(2, 3, 6, 8, seed=1)
    torch.testing.assert_close(operator(0.3 * x - 2 * z), 0.3 * operator(x) - 2 * operator(z))


@EVERY
@pytest.mark.parametrize("size", [(6, 8), (9, 5)])
def test_the_adjoint_is_adjoint(operator, size):
    x, y = random(4, 3, *size), random(4, *operator.measurement_shape(size), seed=1)
    back = operator.adjoint(y)
    assert back.shape == x.shape
    left, right = ((a * b).flatten(1).sum(1) for a, b in ((operator(x), y), (x, back)))
    torch.testing.assert_close(left, right, rtol=1e-10, atol=1e-10)


@EVERY
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("weight", [0.05, 1.0, 400.0, torch.tensor([0.1, 1.0, 30.0], dtype=torch.float64)], ids=str)
def test_a_proximal_step_minimises(operator, weight, masked):
    """Where it is, the gradient of w/2 ||M (A(z) - y)||^2 + 1/2 ||z - x||^2 is 0; the function is strictly convex."""
    x, shape = random(3, 3, 6, 8), operator.measurement_shape((6, 8))
    y = random(1, *shape, seed=1)
    mask = (torch.rand(shape, generator=generator(2)) > 0.4).double()[None] if masked else None
    z = operator.prox(x, y, weight, mask).detach().requires_grad_(True)
    assert z.shape == x.shape
    misfit = (operator(z) - y) * (1 if mask is None else mask)
    w = weight.reshape(-1, 1, 1, 1) if isinstance(weight, torch.Tensor) else weight
    (gradient,) = torch.autograd.grad((w / 2 * misfit.square()).sum() + 0.5 * (z - x).square().sum(), z)
    scale = (w * operator.adjoint(y.expand(3, -1, -1, -1))).norm() + x.norm()
    assert gradient.norm() < 2e-6 * scale


@EVERY
def test_closed_forms_are_what_they_replace(operator):
    x, shape = random(2, 3, 6, 8), operator.measurement_shape((6, 8))
    y, mask = random(2, *shape, seed=1), (torch.rand(2, *shape, generator=generator(2)) > 0.4).double()
    torch.testing.assert_close(operator.adjoint(y), LinearOperator.adjoint(operator, y))
    for dead in (None, mask):
        step = LinearOperator.prox(operator, x, y, 3.0, dead)
        torch.testing.assert_close(operator.prox(x, y, 3.0, dead), step, rtol=1e-5, atol=1e-6)


@EVERY
def test_a_step_works_where_comfyui_runs_nodes(operator):
    with torch.inference_mode():
        measurement = operator.measure(picture(1, 6, 8), 0)
        moved = operator.prox(picture(2, 6, 8, seed=1), measurement.y, 10.0)
    assert (measurement.residual(moved) < measurement.residual(picture(2, 6, 8, seed=1))).all()


@EVERY
def test_one_row_that_is_nan_touches_no_other(operator):
    x, y = random(3, 3, 6, 8), random(1, *operator.measurement_shape((6, 8)), seed=1)
    x[1, 0, 2, 2] = torch.nan
    moved = operator.prox(x, y, 5.0)
    assert moved[1].isnan().any()
    torch.testing.assert_close(moved[[0, 2]], operator.prox(x[[0, 2]], y, 5.0))


def test_the_proximal_step_is_the_mean_of_a_normal_posterior():
    """Grey, prior N(x, r^2 I), noise sigma: by the textbook's formula with matrices, pixel by pixel."""
    r, sigma = 0.7, 0.2
    x, y = random(1, 3, 1, 1), random(1, 1, 1, 1, seed=1)
    a = torch.full((1, 3), 1 / 3, dtype=torch.float64)
    gain = r**2 * a.T / (r**2 * a @ a.T + sigma**2)
    mean = x.flatten() + (gain @ (y.flatten() - a @ x.flatten()))
    torch.testing.assert_close(Grey().prox(x, y, r**2 / sigma**2).flatten(), mean)


def test_latents_of_one_channel_have_a_step_too():
    """The problem that samplers are tested on: (x + w g y)/(1 + w g^2)."""
    x, y = random(3, 1, 2, 2), random(1, 1, 2, 2, seed=1)
    torch.testing.assert_close(Scale(gain=2.0).prox(x, y, 3.0), (x + 6 * y) / 13)


def test_conjugate_gradients_solve_each_row_by_itself():
    root = random(3, 12, 12)
    matrices = root @ root.transpose(1, 2) + torch.diag_embed(torch.ones(3, 12, dtype=torch.float64))
    b = random(3, 12, seed=1)
    b[2] = 0

    def apply(z):
        return (matrices @ z[..., None])[..., 0]

    z = conjugate_gradients(apply, b, torch.zeros_like(b), tolerance=1e-10)
    torch.testing.assert_close(z, torch.linalg.solve(matrices, b), rtol=1e-7, atol=1e-8)
    assert torch.equal(z[2], torch.zeros(12, dtype=torch.float64))
    one = conjugate_gradients(lambda z: (matrices[:1] @ z[..., None])[..., 0], b[:1], b[:1] * 0, tolerance=1e-10)
    torch.testing.assert_close(one, z[:1])
