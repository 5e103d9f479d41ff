"""Limits on guidance: each does what its formula says, and nothing when it is off."""

from __future__ import annotations

import math

import pytest
import torch
from sampler_lab.diffusion.tensors import rms
from sampler_lab.guiders.limits import GuidanceLimits


def _pair(count=3):
    generator = torch.Generator().manual_seed(0)
    cond = torch.randn(count, 4, 6, 6, generator=generator)
    return cond + 3 * torch.randn(count, 4, 6, 6, generator=generator), cond


def test_no_limit_returns_the_prediction_itself():
    guided, cond = _pair()
    assert GuidanceLimits().apply(guided, cond) is guided
    assert GuidanceLimits(start_percent=0.2).apply(guided, cond) is guided


def test_clamp_shortens_the_guidance_to_a_share_of_cond_and_keeps_its_direction():
    guided, cond = _pair()
    limited = GuidanceLimits(clamp=0.5).apply(guided, cond)
    torch.testing.assert_close(rms(limited - cond), 0.5 * rms(cond))
    cosine = torch.nn.functional.cosine_similarity((limited - cond).flatten(1), (guided - cond).flatten(1))
    torch.testing.assert_close(cosine, torch.ones(3))


def test_clamp_leaves_guidance_that_is_small_enough():
    guided, cond = _pair()
    assert torch.equal(GuidanceLimits(clamp=100.0).apply(guided, cond), guided)
    assert torch.equal(GuidanceLimits(clamp=0.5).apply(cond, cond), cond)


@pytest.mark.parametrize("phi", [0.3, 1.0])
def test_rescale_brings_the_spread_towards_that_of_cond(phi):
    guided, cond = _pair()
    result = GuidanceLimits(rescale=phi).apply(guided, cond)
    spread, wanted, given = (x.flatten(1).std(1) for x in (result, cond, guided))
    torch.testing.assert_close(spread, phi * wanted + (1 - phi) * given)


def test_rows_do_not_mix():
    guided, cond = _pair()
    limits = GuidanceLimits(rescale=0.7, clamp=0.5)
    alone = limits.apply(guided[:2], cond[:2])
    guided[2] = math.nan
    torch.testing.assert_close(limits.apply(guided, cond)[:2], alone)


def test_a_constant_prediction_stays_finite():
    flat = torch.ones(1, 4, 2, 2)
    assert torch.equal(GuidanceLimits(rescale=1.0, clamp=0.1).apply(flat, flat), flat)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"rescale": 1.2}, "rescale is 1.2"),
        ({"clamp": -1.0}, "clamp is -1.0"),
        ({"clamp": math.nan}, "clamp is nan"),
        ({"start_percent": 0.5, "end_percent": 0.5}, "start_percent is 0.5 and end_percent 0.5"),
        ({"end_percent": 1.5}, "end_percent is 1.5; it must be a number between 0 and 1"),
    ],
)
def test_wrong_limits_get_a_sentence(setting, sentence):
    with pytest.raises(ValueError, match=sentence):
        GuidanceLimits(**setting)
