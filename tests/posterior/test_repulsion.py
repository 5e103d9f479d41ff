"""Repulsion on closed forms: two particles, the bandwidth, the pull-back, its share of the score, NaN, randomness."""

from __future__ import annotations

import math

import pytest
import torch
from sampler_lab.diffusion.parameterization import CONST, VE
from sampler_lab.posterior.interaction.features import LatentFeatures, PixelFeatures
from sampler_lab.posterior.interaction.forces import pairwise_distance, repulsion, repulsive_forces
from sampler_lab.posterior.interaction.repulsion import (
    Repulsion,
    repel,
    repel_denoised,
)


def _particles(count, size=5, seed=0):
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _rms(x):
    return x.flatten(1).square().mean(1).sqrt()


def test_two_particles_push_each_other_apart_with_the_known_force():
    f = _particles(2)
    g = repulsive_forces(f)
    # h = d²/log 2 and the only weight cancels: g_1 = (2 log 2 / d²)(f_1 - f_2).
    expected = 2 * math.log(2) / (f[0] - f[1]).square().sum() * (f[0] - f[1])
    torch.testing.assert_close(g, torch.stack([expected, -expected]))


@pytest.mark.parametrize("count", [3, 4, 16])
def test_forces_are_those_of_the_formula(count):
    f = _particles(count)
    expected = []
    for i in range(count):
        others = [j for j in range(count) if j != i]
        distance = torch.stack([(f[i] - f[j]).norm() for j in others])
        h = distance.quantile(0.5) ** 2 / math.log(count)
        w = torch.exp(-(distance**2) / h)
        expected.append(sum(2 / h * w[k] * (f[i] - f[j]) for k, j in enumerate(others)) / w.sum())
    torch.testing.assert_close(repulsive_forces(f), torch.stack(expected))


def test_the_bandwidth_gives_the_median_neighbour_the_weight_one_over_n():
    # Three on a line, the first at distances 1 and 3 (median 2): h = 4/log 3, weights 3^(-1/4) and 3^(-9/4).
    f = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)
    near, far = 3**-0.25, 3**-2.25
    expected = 2 * math.log(3) / 4 * (near * -1 + far * -3) / (near + far)
    assert repulsive_forces(f)[0, 0].item() == pytest.approx(expected)


def test_one_particle_feels_nothing():
    assert not repulsive_forces(_particles(1)).any()


def test_particles_that_coincide_stay_finite():
    f = _particles(4)
    f[1] = f[0]
    assert torch.isfinite(repulsive_forces(f)).all()
    assert not repulsive_forces(f[:1].repeat(3, 1)).any()


def test_a_common_offset_changes_nothing():
    f = _particles(4).float()
    torch.testing.assert_close(repulsive_forces(f + 1000), repulsive_forces(f), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_particle_that_is_not_finite_counts_as_absent(bad):
    f = _particles(4)
    with_bad = torch.cat([f[:2], f[:1], f[2:]])
    with_bad[2, 0] = bad
    forces = repulsive_forces(with_bad)
    assert not forces[2].any()
    torch.testing.assert_close(forces[[0, 1, 3, 4]], repulsive_forces(f))


def test_the_pull_back_is_the_gradient_of_the_features_along_the_forces():
    """Against central finite differences of the sum of g·f(z), with g held fixed."""
    mix = torch.randn(6, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def features(z):
        return torch.tanh(z.flatten(1) @ mix.T)

    z = _particles(3, 5).reshape(3, 5, 1, 1)
    r, f = repulsion(z, features)
    assert r.shape == z.shape
    torch.testing.assert_close(f, features(z))
    g = repulsive_forces(f)
    step = 1e-6
    for i in range(3):
        for k in range(5):
            moved = torch.zeros_like(z)
            moved[i, k] = step
            slope = ((features(z + moved) - features(z - moved)) * g).sum() / (2 * step)
            assert r[i, k].item() == pytest.approx(slope.item(), rel=1e-6, abs=1e-9)


def test_micro_batches_give_the_same_forces():
    features = PixelFeatures(torch.tanh)
    z = _particles(5, 12).reshape(5, 3, 2, 2)
    whole, part = repulsion(z, features), repulsion(z, features, micro_batch=2)
    torch.testing.assert_close(part[0], whole[0])
    torch.testing.assert_close(part[1], whole[1])


def test_it_works_where_the_host_runs_nodes():
    z = _particles(3, 12).float().reshape(3, 3, 2, 2)
    with torch.inference_mode():
        r, _ = repulsion(z.clone(), PixelFeatures(torch.tanh))
    torch.testing.assert_close(r, repulsion(z, PixelFeatures(torch.tanh))[0])


def test_a_nan_particle_never_touches_another():
    z = _particles(3, 12).float().reshape(3, 3, 2, 2)
    alone, _ = repulsion(z[:2], PixelFeatures(torch.tanh))
    z[2, 1, 0, 0] = math.nan
    r, _ = repulsion(z, PixelFeatures(torch.tanh))
    torch.testing.assert_close(r[:2], alone)
    assert not r[2].any()
    d = repel(z, r, 1.0, Repulsion(sigma_break=0.1), 10.0)
    assert torch.isfinite(d[:2]).all()


def test_normalised_repulsion_changes_d_by_its_share_of_the_score():
    options = Repulsion(strength=0.05, sigma_break=0.1)
    d, r = _particles(4), 1e-7 * _particles(4, seed=1)
    change = repel(d, r, 10.0, options, sigma_top=10.0) - d
    torch.testing.assert_close(_rms(change), 0.05 * _rms(d))
    # Against the force: d points towards more noise, so the sample moves along r.
    torch.testing.assert_close(torch.nn.functional.cosine_similarity(change, r), torch.full((4,), -1.0).double())


def test_raw_repulsion_adds_the_force_to_the_score():
    options = Repulsion(strength=7.0, mode="raw", sigma_break=0.1)
    x, denoised, r, sigma = _particles(2), _particles(2, seed=1), _particles(2, seed=2), 4.0
    d = (x - denoised) / sigma
    moved = repel(d, r, sigma, options, sigma_top=4.0)
    torch.testing.assert_close(x - sigma * moved, denoised + 7.0 * sigma**2 * r)  # D' = D + s·sigma²·r


def _ode_step(options, parameterization, sigma, sigma_next):
    """One Euler step of the ODE with repulsion from the same VE latent; the result in VE coordinates."""
    sigma, sigma_next = (
        parameterization.sigma_from_ve(torch.tensor(s, dtype=torch.float64)) for s in (sigma, sigma_next)
    )
    x_ve, denoised, r = 3 * _particles(3), _particles(3, seed=1), _particles(3, seed=2)
    x = parameterization.from_ve(x_ve, sigma)
    moved = repel_denoised(denoised, x, sigma, parameterization, r, options, sigma_top=5.0)
    x = parameterization.alpha(sigma_next) * moved + sigma_next * (x - parameterization.alpha(sigma) * moved) / sigma
    return parameterization.to_ve(x, sigma_next)


@pytest.mark.parametrize("mode", ["normalised", "raw"])
def test_an_ode_step_is_the_same_on_a_flow_model(mode):
    options = Repulsion(strength=0.1, mode=mode, sigma_break=0.1)
    torch.testing.assert_close(_ode_step(options, CONST, 2.0, 0.5), _ode_step(options, VE, 2.0, 0.5))
    plain = Repulsion(strength=0.0)
    assert not torch.allclose(_ode_step(options, VE, 2.0, 0.5), _ode_step(plain, VE, 2.0, 0.5))


def test_a_denoiser_step_moves_x_by_the_change_of_d():
    options = Repulsion(strength=0.1, sigma_break=0.1)
    x_ve, denoised, r = 3 * _particles(3), _particles(3, seed=1), _particles(3, seed=2)
    d = repel((x_ve - denoised) / 2.0, r, 2.0, options, 5.0)
    torch.testing.assert_close(_ode_step(options, VE, 2.0, 0.5), x_ve + (0.5 - 2.0) * d)


def test_a_flows_first_level_stays_finite_and_bounded():
    options, denoised = Repulsion(strength=0.05), _particles(3, seed=1)
    one = torch.tensor(1.0, dtype=torch.float64)
    moved = repel_denoised(denoised, _particles(3), one, CONST, _particles(3, seed=2), options, sigma_top=10.0)
    torch.testing.assert_close(_rms(moved - denoised), 0.05 * 10.0 * _rms(_particles(3)))


def test_half_precision_features_are_computed_in_single():
    f = _particles(4).to(torch.bfloat16)
    forces = repulsive_forces(f)
    assert forces.dtype == torch.bfloat16
    torch.testing.assert_close(forces, repulsive_forces(f.float()).to(torch.bfloat16))


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_the_schedule_falls_in_log_sigma_to_zero_at_the_break(schedule):
    options = Repulsion(strength=0.04, schedule=schedule, sigma_break=0.1)
    assert options.strength_at(10.0, 10.0) == pytest.approx(0.04)
    assert options.strength_at(1.0, 10.0) == pytest.approx(0.02)  # half-way in log sigma
    assert options.strength_at(0.1, 10.0) == 0
    assert options.strength_at(0.05, 10.0) == 0
    assert options.strength_at(80.0, 10.0) == pytest.approx(0.04)
    assert options.strength_at(math.inf, 10.0) == pytest.approx(0.04)  # a flow's first level
    assert options.strength_at(0.09, 0.09) == 0  # a run that starts below the break
    strengths = [options.strength_at(s, 10.0) for s in (10.0, 5.0, 2.0, 1.0, 0.5, 0.2, 0.1)]
    assert strengths == sorted(strengths, reverse=True)


@pytest.mark.parametrize("options", [Repulsion(strength=0.0), Repulsion(sigma_break=5.0)])
def test_no_strength_returns_d_itself(options):
    d = _particles(3)
    assert repel(d, _particles(3, seed=1), 5.0, options, 10.0 if options.strength == 0 else 5.0) is d


def test_no_force_leaves_d_as_it_is():
    d = _particles(3)
    assert torch.equal(repel(d, torch.zeros_like(d), 5.0, Repulsion(), 10.0), d)


def test_no_random_number_is_drawn():
    before = torch.random.get_rng_state()
    r, _ = repulsion(_particles(3), LatentFeatures())
    repel(_particles(3), r, 5.0, Repulsion(), 10.0)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_repulsion_raises_the_distance_of_particles_that_follow_it():
    z = 0.1 * _particles(4)
    r, f = repulsion(z, LatentFeatures())
    moved = z - repel(torch.zeros_like(z) + 0.01, r, 5.0, Repulsion(strength=1.0), 5.0)
    assert pairwise_distance(moved) > pairwise_distance(f)


def test_the_pairwise_distance_skips_what_is_not_finite():
    z = torch.tensor([[0.0, 0.0], [3.0, 4.0], [math.nan, 0.0]])
    assert pairwise_distance(z) == pytest.approx(5 / 2**0.5)
    assert pairwise_distance(z[1:]) is None


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"strength": -0.1}, "strength is -0.1"),
        ({"strength": math.nan}, "strength is nan"),
        ({"mode": "loud"}, "mode is 'loud'; choose one of normalised, raw"),
        ({"schedule": "step"}, "schedule is 'step'; choose one of linear, cosine"),
        ({"sigma_break": 0.0}, "sigma_break is 0.0"),
        ({"micro_batch": -1}, "micro_batch is -1"),
    ],
)
def test_wrong_options_get_a_sentence(setting, sentence):
    with pytest.raises(ValueError, match=sentence):
        Repulsion(**setting)
