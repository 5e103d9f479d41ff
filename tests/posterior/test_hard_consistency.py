"""Hard consistency on problems that are solved by hand: every row has its own optimiser and its own end."""

import math
from dataclasses import replace

import pytest
import torch
from linear_problem import Scale, identity_decoder
from sampler_lab.diffusion.observer import SILENT, Observer
from sampler_lab.instruments.calls import Calls
from sampler_lab.operators import Measurement
from sampler_lab.posterior.autoencoder import Autoencoder
from sampler_lab.posterior.decoding import Decoding
from sampler_lab.posterior.likelihood import Likelihood
from sampler_lab.posterior.moves.hard_consistency import HardConsistency, hard_consistency, prior_residual

OPTIONS = HardConsistency(iterations=200, learning_rate=0.02, window=50)
TARGET = torch.tensor([[[[1.0, -0.5], [0.0, 2.0]]]])
FLOOR = 0.01


def likelihood(decoder=identity_decoder, floor=FLOOR, observer=SILENT):
    autoencoder = Autoencoder(decoder, decoding=Decoding(precision="full"), observer=observer)
    return Likelihood(Measurement(TARGET, Scale(), noise_floor=floor), autoencoder)


def starts(*distances):
    """Rows at the given distances from the target, along one direction."""
    direction = torch.tensor([[[0.5, 0.5], [-0.5, 0.5]]])
    return torch.cat([TARGET + distance * direction for distance in distances])


def test_it_is_adam():
    """One row against torch's own optimiser, which has the same arithmetic in one step order."""
    z = starts(1.0).clone()
    options = replace(OPTIONS, iterations=30, window=100)
    own = hard_consistency(z, likelihood(floor=0.0), options).z
    parameter = torch.nn.Parameter(z.clone())
    adam = torch.optim.Adam([parameter], lr=options.learning_rate)
    for _ in range(30):
        adam.zero_grad()
        (parameter - TARGET).square().sum().backward()
        adam.step()
    torch.testing.assert_close(own, parameter.detach(), rtol=0, atol=1e-5)


def test_every_row_stops_at_the_noise_floor_by_itself():
    found = hard_consistency(starts(0.05, 0.4, 1.5), likelihood(), OPTIONS)
    assert found.stopped == ["noise floor"] * 3
    assert found.iterations[0] == 0
    assert found.iterations[0] < found.iterations[1] < found.iterations[2]
    limit = FLOOR * (1 + OPTIONS.slack * math.sqrt(2 / 4))
    assert bool((found.residual <= limit).all())
    assert found.residual.tolist() == pytest.approx((found.z - TARGET).square().flatten(1).sum(1).tolist(), rel=1e-5)


def test_a_row_is_the_batch_of_one():
    z = starts(0.05, 0.4, 1.5, math.nan)
    together = hard_consistency(z, likelihood(), OPTIONS)
    for row in range(4):
        alone = hard_consistency(z[row : row + 1], likelihood(), OPTIONS)
        assert torch.equal(together.z[row].nan_to_num(7.0), alone.z[0].nan_to_num(7.0))
        assert (together.iterations[row], together.stopped[row]) == (alone.iterations[0], alone.stopped[0])


def test_a_stopped_row_is_frozen_to_the_bit_and_leaves_the_batch():
    sizes = []

    def counting(z):
        sizes.append(len(z))
        return z

    z = starts(0.05, 1.5)
    found = hard_consistency(z, likelihood(counting), OPTIONS)
    assert torch.equal(found.z[0], z[0])
    assert sizes[0] == 2
    assert set(sizes[1:]) == {1}


def test_a_row_with_momentum_does_not_run_on():
    """The row ends in the state whose residual was the first below the floor, not one step later."""
    found = hard_consistency(starts(0.4), likelihood(), OPTIONS)
    one_less = hard_consistency(starts(0.4), likelihood(floor=0.0), replace(OPTIONS, iterations=found.iterations[0]))
    torch.testing.assert_close(found.z, one_less.z, rtol=0, atol=0)


def test_a_row_that_becomes_infinite_goes_back():
    """On its way to the target the second row comes through a gap in which there is no picture."""

    def decoder(z):
        return z.masked_fill((z > -0.6) & (z < -0.4), math.inf)

    target = torch.ones(1, 1, 2, 2)
    measured = Likelihood(
        Measurement(target, Scale(), noise_floor=FLOOR), Autoencoder(decoder, decoding=Decoding(precision="full"))
    )
    z = torch.cat([2 * target, -2 * target])
    found = hard_consistency(z, measured, replace(OPTIONS, learning_rate=0.05))
    assert found.stopped == ["noise floor", "not finite"]
    assert found.iterations[1] > 0
    assert torch.equal(found.z[1], z[1])
    assert found.improved.tolist() == [True, False]


def test_a_plateau_is_noticed():
    """No picture of this decoder reaches the target, so the residual levels out above the floor."""
    found = hard_consistency(starts(1.0), likelihood(lambda z: z.clamp(max=0.2)), OPTIONS)
    assert found.stopped == ["plateau"]
    assert found.iterations[0] < OPTIONS.iterations


def test_the_budget_is_kept_and_the_last_state_is_evaluated():
    options = replace(OPTIONS, iterations=5)
    calls = Calls()
    found = hard_consistency(starts(1.5), likelihood(observer=calls), options)
    assert found.stopped == ["budget"]
    assert found.iterations == [5]
    assert calls == Calls(decoder_forward=6, decoder_backward=5)
    assert float(found.residual) == pytest.approx(float((found.z - TARGET).square().sum()), rel=1e-6)
    assert float(found.residual) < float(found.before)


def test_what_is_given_does_not_move():
    mask = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]])
    z = starts(1.0, 0.7)
    found = hard_consistency(z, likelihood(), OPTIONS, mask=mask)
    assert torch.equal(found.z[..., 1], z[..., 1])
    assert not torch.equal(found.z[..., 0], z[..., 0])


def test_cancel_arrives_within_an_iteration():
    count = []

    class Cancel(Observer):
        def raise_if_cancelled(self):
            count.append(None)
            if len(count) == 4:
                raise InterruptedError

    with pytest.raises(InterruptedError):
        hard_consistency(starts(1.5), likelihood(), OPTIONS, observer=Cancel())
    assert len(count) == 4


def test_prior_residual_of_a_known_denoiser():
    """D(x) = x/(1 + s²) for a unit Gaussian prior: without noise z - D(z) = z·s²/(1 + s²)."""
    z, s = torch.full((2, 1, 2, 2), 3.0), 0.5
    found = prior_residual(
        z, torch.zeros_like(z), lambda x, sigma: x / (1 + sigma**2), torch.tensor(s), torch.tensor(1.0)
    )
    assert found.tolist() == pytest.approx([3 * s**2 / (1 + s**2)] * 2)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"iterations": -1}, "iterations is -1"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"start": 1.2}, "start is 1.2"),
        ({"window": 0}, "window is 0"),
        ({"slack": -1.0}, "slack"),
        ({"gate_tolerance": math.nan}, "gate_tolerance"),
        ({"beta1": 1.0}, "beta1"),
    ],
)
def test_bad_settings_are_named(wrong, word):
    with pytest.raises(ValueError, match=word):
        HardConsistency(**wrong)
