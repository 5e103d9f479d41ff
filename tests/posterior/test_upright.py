"""Which way round: the model decides, for all pictures alike, and only where the measurement cannot."""

import torch
from linear_problem import Scale
from one_level import last_level
from pixel_problems import decoder, encoder, likelihood_of, phaseless
from sampler_lab.diffusion.observer import Observer
from sampler_lab.instruments.calls import Calls
from sampler_lab.operators import Measurement, rot180
from sampler_lab.posterior.moves.upright import Upright
from sampler_lab.posterior.particles import Denoiser, Particles


class Reports(Observer):
    facts = None

    def step(self, i, sigma, phase=None, **facts):
        self.facts = facts


def knows(z):
    """A model that believes in ``z`` alone."""
    return lambda x, sigma, **_: z.expand_as(x)


def shown(seed=0):
    return torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 1.6 - 0.8


def turned(pictures, model, observer=None, measurement=None):
    likelihood = likelihood_of(measurement or phaseless())
    z = encoder(pictures)
    particles = Particles(z, Denoiser(model, observer=observer or Observer()))
    particles.pictures = pictures.clone()
    reports = Reports()
    assert torch.equal(Upright()(particles, z, last_level(likelihood, observer=reports)), z)
    return particles.pictures, reports.facts


def test_the_model_says_which_way_round():
    picture = shown()
    for upside_down in (False, True):
        given = rot180(picture) if upside_down else picture
        found, told = turned(given, knows(encoder(picture)))
        torch.testing.assert_close(found, picture)
        assert told["upright"]["turned"] == ("rot180" if upside_down else "identity")
        assert len(told["upright"]["prior_error"]) == 2


def test_all_are_turned_as_the_first():
    pictures = torch.cat([shown(0), shown(1)])
    found, _ = turned(rot180(pictures), knows(encoder(pictures[:1])))
    torch.testing.assert_close(found, pictures)


def test_a_measurement_that_sees_it_is_believed():
    picture, calls = shown(), Calls()
    given = decoder(encoder(picture))
    measurement = Measurement(given[:, :1], Scale(), noise_floor=1.0)
    found, told = turned(picture, knows(encoder(rot180(picture))), calls, measurement)
    assert torch.equal(found, picture)
    assert told is None
    assert calls == Calls()
