"""Pruning: constructed cases in which the row that must stay is known, and distances that are known."""

import math

import pytest
import torch
from sampler_lab.operators import PhaseRetrieval, rot180, shift_image
from sampler_lab.posterior.level import step_at
from sampler_lab.posterior.moves.pruning import MODES, Pruning, prune
from sampler_lab.posterior.moves.symmetric_distance import symmetric_distance

OPERATOR = PhaseRetrieval()


def picture(seed: int, side: int = 16) -> torch.Tensor:
    """Random black and white blocks inside an empty rim, ``[3, side, side]`` in [-1, 1]."""
    blocks = torch.randn(3, side // 4, side // 4, generator=torch.Generator().manual_seed(seed)).sign()
    return torch.nn.functional.pad(blocks.repeat_interleave(2, 1).repeat_interleave(2, 2), [side // 4] * 4, value=-1.0)


def near(image: torch.Tensor, seed: int, psnr: float = 30.0) -> torch.Tensor:
    """The picture with noise that leaves it at ``psnr`` dB."""
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
    return image + noise / noise.square().mean().sqrt() * 2 * 10 ** (-psnr / 20)


A, B = picture(1), picture(2)


def choose(images, residual, names=None, **options):
    return prune(
        torch.tensor(residual),
        torch.stack(images),
        Pruning(**{"tolerance": 0.5, **options}),
        OPERATOR.symmetries,
        OPERATOR.shift_symmetric,
        OPERATOR.background,
        names=names,
    )


class TestTwoNearZeroOneNear180:
    """The twin is the same solution: it takes a place from a duplicate, never from a different picture."""

    images = (A, near(A, 5), rot180(near(A, 6)))

    def test_the_better_one_of_each_orientation_stays(self):
        assert choose(self.images, [1.2, 1.1, 1.3], keep=2).rows == [1, 2]

    def test_the_better_one_is_late(self):
        assert choose(self.images, [1.3, 1.2, 1.0], keep=2).rows == [1, 2]
        assert choose(self.images, [1.3, 1.0, 1.2], keep=1).rows == [1]
        assert choose(self.images, [1.3, 1.2, 1.0], keep=1).rows == [2]

    def test_a_twin_that_does_not_fit_the_measurement_goes(self):
        assert choose(self.images, [1.2, 1.1, 9.0], keep=2).rows == [0, 1]

    def test_a_different_picture_comes_before_the_twin(self):
        pruned = choose([*self.images, B], [1.2, 1.1, 1.3, 1.6], keep=2)
        assert pruned.rows == [1, 3]
        assert pruned.reasons == {0: "duplicate of 1", 2: "duplicate of 1"}

    def test_who_was_pruned_before_has_no_row_any_longer_but_the_others_keep_their_names(self):
        pruned = choose([*self.images, B], [math.nan, 1.1, 1.3, 1.6], names=[0, 4, 5, 9], keep=2)
        assert pruned.rows == [1, 3]
        assert pruned.reasons == {0: "not finite", 2: "duplicate of 4"}

    def test_three_places_hold_all_three_kinds(self):
        assert choose([*self.images, B], [1.2, 1.1, 1.3, 1.6], keep=3).rows == [1, 2, 3]


def test_residual_mode_looks_at_nothing_else():
    pruned = choose([A, near(A, 5), rot180(A), B], [1.0, 1.1, 1.2, 1.3], keep=2, mode="residual")
    assert pruned.rows == [0, 1]
    assert pruned.reasons == {2: "residual 1.20 times the best", 3: "residual 1.30 times the best"}


def test_tolerance_says_how_much_worse_a_different_picture_may_be():
    images, residual = [A, near(A, 5), B], [1.0, 1.1, 1.9]
    assert choose(images, residual, keep=2, tolerance=0.5).rows == [0, 1]
    assert choose(images, residual, keep=2, tolerance=1.0).rows == [0, 2]


def test_duplicates_are_told_by_their_distance_in_dB():
    images, residual = [A, near(A, 5, psnr=25), B], [1.0, 1.1, 1.2]
    assert choose(images, residual, keep=2, duplicate_psnr=20).rows == [0, 2]
    assert choose(images[:2], residual[:2], keep=1, duplicate_psnr=20).reasons == {1: "duplicate of 0"}
    assert choose(images[:2], residual[:2], keep=1, duplicate_psnr=28).reasons == {1: "residual 1.10 times the best"}


@pytest.mark.parametrize("mode", MODES)
def test_a_broken_particle_goes_first(mode):
    images = [A, torch.full_like(A, math.nan), B]
    pruned = choose(images, [5.0, math.nan, 4.0], keep=2, mode=mode, tolerance=9.0, effective_share=1.0)
    assert 1 not in pruned.rows
    assert pruned.reasons[1] == "not finite"
    assert len(pruned.rows) == 2


@pytest.mark.parametrize("mode", MODES)
def test_when_all_are_broken_the_batch_still_shrinks(mode):
    pruned = choose([A * math.nan, B * math.nan, A * math.nan], [math.nan] * 3, keep=2, mode=mode)
    assert pruned.rows == [0, 1]
    assert pruned.reasons == {2: "not finite"}


@pytest.mark.parametrize("keep", [0, 2, 3])
def test_nothing_to_prune(keep):
    pruned = choose([A, B], [1.0, 2.0], keep=keep)
    assert pruned.rows == [0, 1]
    assert pruned.reasons == {}


class TestResampling:
    def draw(self, residual, keep, uniform, share=0.5):
        images = torch.zeros(len(residual), 3, 4, 4)
        options = Pruning(keep=keep, mode="resample", effective_share=share)
        return prune(torch.tensor(residual, dtype=torch.float64), images, options, uniform=uniform)

    def test_untempered_likelihood_would_leave_one(self):
        """Residuals thousands of nats apart still give the asked effective size, so the second best has a chance."""
        rows = {tuple(self.draw([1000.0, 4000.0, 9000.0, 9500.0], 2, u / 50).rows) for u in range(50)}
        assert (0, 0) not in rows or len(rows) > 1
        assert any(1 in kept for kept in rows)

    def test_copies_are_as_frequent_as_the_weights_say(self):
        """Systematic resampling: the expected number of copies is K times the weight, exactly, averaged over u."""
        residual, keep, grid = [0.0, 1.0, 2.0, 5.0], 3, 3000
        counts = torch.zeros(4)
        for u in range(grid):
            for row in self.draw(residual, keep, (u + 0.5) / grid).rows:
                counts[row] += 1
        weights = counts / counts.sum()
        assert float(1 / weights.square().sum()) == pytest.approx(2.0, rel=2e-3)  # effective size: half of four
        # Weights are exp(-beta L): log ratios are proportional to the differences of the residuals.
        assert float((weights[0] / weights[1]).log() * 2) == pytest.approx(float((weights[0] / weights[2]).log()), 1e-2)

    def test_equal_residuals_are_drawn_evenly(self):
        assert self.draw([3.0] * 4, 2, 0.3).rows == [0, 2]


class TestDistance:
    def test_plain_distance_without_symmetries(self):
        images = torch.stack([A, B])
        found = symmetric_distance(images, [lambda image: image])
        assert float(found[0, 1]) == pytest.approx(float((A - B).square().mean().sqrt()), rel=1e-5)
        assert found.diag().tolist() == [0.0, 0.0]

    @pytest.mark.parametrize("symmetry", OPERATOR.symmetries, ids=lambda s: s.name)
    def test_every_exact_symmetry_is_no_distance(self, symmetry):
        images = torch.stack([A, symmetry(A[None])[0]])
        found = symmetric_distance(images, OPERATOR.symmetries, OPERATOR.shift_symmetric, OPERATOR.background)
        assert float(found.max()) < 1e-3

    def test_a_shift_inside_the_frame_is_no_distance(self):
        moved = rot180(shift_image(A, 2, -3, background=-1.0))
        found = symmetric_distance(torch.stack([A, moved]), OPERATOR.symmetries, shifts=True)
        assert float(found[0, 1]) < 1e-3
        assert float(symmetric_distance(torch.stack([A, moved]), OPERATOR.symmetries, shifts=False)[0, 1]) > 0.2

    def test_shifts_only_ever_make_it_smaller(self):
        images = torch.stack([picture(k) for k in range(5)])
        plain = symmetric_distance(images, OPERATOR.symmetries)
        assert bool((symmetric_distance(images, OPERATOR.symmetries, shifts=True) <= plain + 1e-4).all())


@pytest.mark.parametrize(
    ("progress", "steps", "step"),
    [(0.8, 50, 39), (0.8, 5, 3), (1.0, 50, 49), (0.0, 50, 0), (0.81, 50, 40), (0.5, 0, None)],
)
def test_progress_counts_finished_steps(progress, steps, step):
    assert step_at(progress, steps) == step


def test_a_sigma_decides_whatever_the_progress():
    assert Pruning(sigma=0.5).step([10.0, 1.0, 0.5, 0.1]) == 2
    assert Pruning(sigma=0.01).step([10.0, 1.0, 0.5, 0.1]) is None
    assert Pruning(keep=0, sigma=0.5).step([10.0, 0.1]) is None


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"keep": -1}, "keep is -1"),
        ({"progress": 1.5}, "progress is 1.5"),
        ({"progress": math.nan}, "progress is nan"),
        ({"sigma": -0.1}, "sigma is -0.1"),
        ({"mode": "best"}, "choose one of diverse, residual, resample"),
        ({"tolerance": math.nan}, "tolerance"),
        ({"duplicate_psnr": math.inf}, "duplicate_psnr"),
        ({"effective_share": 0.0}, "effective_share"),
    ],
)
def test_bad_settings_are_named(wrong, word):
    with pytest.raises(ValueError, match=word):
        Pruning(**wrong)
