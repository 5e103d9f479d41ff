"""The recipe: what its levels and moves are, that it is the same on both kinds of models, and what it leaves alone."""

import pytest
import torch
from linear_problem import gaussian_denoiser
from pixel_problems import decoder, encoder, phaseless
from sampler_lab.diffusion.parameterization import CONST, VE
from sampler_lab.instruments.calls import Calls
from sampler_lab.posterior.decoding import Decoding
from sampler_lab.posterior.method import Method
from sampler_lab.posterior.moves.pruning import Pruning
from sampler_lab.samplers.phase_retrieval import CALIBRATIONS, recipe, reconstruct
from sampler_lab.schedulers import SearchLevels

SHAPE = (3, 4, 4)
FULL = Decoding(precision="full")


class Model:
    """D of latents that are N(0, 1), which says what kind of model it is."""

    def __init__(self, parameterization):
        self.parameterization, self.denoise = parameterization, gaussian_denoiser(parameterization)

    def __call__(self, x, sigma, **_):
        return self.denoise(x, sigma)


def found(parameterization=VE, effort=8, method=None, observer=None, measurement=None):
    settings = {} if observer is None else {"observer": observer}
    method = method or recipe(effort, decoding=FULL)
    model = Model(parameterization)
    return reconstruct(model, measurement or phaseless(), decoder, encoder, SHAPE, effort, 3, method=method, **settings)


def test_half_and_a_quarter_go_on():
    keeps = [move.keep for move in recipe(16).moves if isinstance(move, Pruning)]
    assert keeps == [8, 4]
    assert len(found(effort=8).names) == 2
    assert found(effort=1).names == [0]


def test_both_kinds_of_models_find_the_same():
    ve, flow = found(VE), found(CONST)
    assert ve.names == flow.names
    torch.testing.assert_close(ve.pictures, flow.pictures, rtol=0, atol=2e-3)  # feedback multiplies rounding
    torch.testing.assert_close(ve.latents, flow.latents, rtol=0, atol=2e-3)


def test_the_picture_explains_the_measurement():
    """As well as the truth does, within what noise does to its residual; what the prior draws is far off."""
    measurement = phaseless()
    drawn = found(method=recipe(8, weight=0.0, decoding=FULL)).pictures
    assert float(measurement.residual(found().pictures[:1])) < 1.5 * measurement.noise_floor
    assert float(measurement.residual(drawn).min()) > 3 * measurement.noise_floor


def test_without_a_weight_it_is_the_prior():
    """The same estimate and noise without a measurement: nobody is dropped, nothing decoded but the result."""
    calls = Calls()
    silent = found(method=recipe(8, weight=0.0, decoding=FULL), observer=calls)
    assert silent.names == list(range(8))
    assert calls.decoder_backward == calls.encoder == 0
    whole = recipe(8, decoding=FULL)
    alone = Method(whole.estimate, whole.data_step.weighted(0.0), decoding=FULL)
    assert torch.equal(silent.latents, found(method=alone).latents)


def test_a_particle_does_not_depend_on_how_many_there_are():
    method = recipe(8, decoding=FULL)
    alone = Method(method.estimate, method.data_step, decoding=FULL)
    four, eight = found(effort=4, method=alone), found(effort=8, method=alone)
    torch.testing.assert_close(four.latents, eight.latents[:4], rtol=0, atol=2e-3)


@pytest.mark.parametrize("effort", [0, -1, 2.5, True])
def test_an_effort_is_a_whole_number(effort):
    with pytest.raises(ValueError, match="effort is"):
        recipe(effort)


def test_levels_fall_evenly_in_their_logarithm():
    levels = SearchLevels(search_steps=5, fit_steps=2).sigmas()
    assert len(levels) == 9
    assert levels[-1] == 0
    ratios = levels[2:6] / levels[1:5]
    torch.testing.assert_close(ratios, ratios[:1].expand(4))
    torch.testing.assert_close(levels[7] / levels[6], levels[6] / levels[5])
    assert [float(levels[k]) for k in (0, 1, 5, 7)] == pytest.approx([6.0, 2.0, 0.25, 0.05])


@pytest.mark.parametrize("wrong", [{"sigma_first": 2.0}, {"sigma_low": 3.0}, {"sigma_last": 0.25}])
def test_levels_that_do_not_fall_are_named(wrong):
    with pytest.raises(ValueError, match=rf"{next(iter(wrong))}.* choose a larger"):
        SearchLevels(**wrong)


def test_the_fit_begins_below_the_search():
    c = CALIBRATIONS["emoji_64"]
    assert c.levels.sigma_low < c.sigma_prune < c.levels.sigma_high
