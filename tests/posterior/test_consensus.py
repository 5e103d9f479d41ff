"""The consensus: the mean of those that found the chosen picture, whichever way round, and of nobody else."""

import math

import pytest
import torch
from one_level import last_level
from pixel_problems import latents, likelihood_of, phaseless
from sampler_lab.diffusion.observer import Observer
from sampler_lab.operators import rot180
from sampler_lab.posterior.moves.consensus import Consensus, turned_alike
from sampler_lab.posterior.particles import Denoiser, Particles


class Reports(Observer):
    def step(self, i, sigma, phase=None, **facts):
        self.facts = facts


def pictures(seed=0, n=1):
    return 0.6 * torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) - 0.3


def agreed(shown, chosen=None, **options):
    """Pictures after the move, and what it reported; the particles are named 0, 1, 2 ..."""
    reports, z = Reports(), latents(len(shown))
    particles = Particles(z, Denoiser(lambda x, sigma: x))
    particles.pictures, particles.chosen = shown.clone(), chosen
    level = last_level(likelihood_of(phaseless()), observer=reports)
    assert torch.equal(Consensus(**options)(particles, z, level), z)
    return particles.pictures, reports.facts["consensus"]


def test_those_that_agree_are_averaged_and_turned():
    truth, noise = pictures(), 0.05 * torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    other = pictures(5) + 0.9  # another picture altogether
    shown = torch.cat([truth + noise[:1], rot180(truth + noise[1:2]), other, truth + noise[2:]])
    found, told = agreed(shown)
    torch.testing.assert_close(found[:1], truth + noise.mean(0, keepdim=True))
    torch.testing.assert_close(found[1:2], truth + noise[1:2])
    assert told == {"particles": [0, 1, 3], "chosen": 0}
    error = [float((row - truth[0]).square().mean()) for row in found]
    assert error[0] < min(error[1:])


def test_the_mean_is_the_chosen_ones():
    truth, noise = pictures(), 0.02 * torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    found, told = agreed(truth + noise, chosen=1)
    assert told["chosen"] == 1
    torch.testing.assert_close(found[1], truth[0] + noise.mean(0))
    torch.testing.assert_close(found[0], truth[0] + noise[0])


def test_at_100_dB_everybody_keeps_his_picture():
    shown = pictures() + 0.01 * torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    found, told = agreed(shown, agreement_psnr=100.0)
    assert torch.equal(found, shown)
    assert told["particles"] == [0]


def test_a_broken_picture_is_not_averaged():
    shown = pictures(n=1).repeat(3, 1, 1, 1)
    shown[1] = math.nan
    found, told = agreed(shown)
    assert told["particles"] == [0, 2]
    assert bool(found[[0, 2]].isfinite().all())


def test_without_pictures_of_a_move_it_takes_those_of_the_decoder():
    z = latents(2)
    particles = Particles(z, Denoiser(lambda x, sigma: x))
    likelihood = likelihood_of(phaseless())
    Consensus(agreement_psnr=100.0)(particles, z, last_level(likelihood))
    decoded = likelihood.evaluate(z, precisely=True).images.clamp(-1, 1)
    torch.testing.assert_close(particles.pictures[0], decoded[0])


@pytest.mark.parametrize("symmetry", phaseless().operator.symmetries[:2], ids=lambda symmetry: symmetry.name)
def test_turning_takes_the_nearest(symmetry):
    image = pictures(n=2)
    symmetries = list(phaseless().operator.symmetries[:2])
    turned, distance = turned_alike(symmetry(image), image[0], symmetries)
    torch.testing.assert_close(turned[0], image[0])
    assert float(distance[0]) == pytest.approx(0, abs=1e-6)
    assert float(distance[1]) > 0.1
