"""Preset daps_official against numbers of the official DAPS code, and against its algorithm written out plainly.

The stored numbers are those of github zhangbingliang2019/DAPS at commit 098df6b, run once on a processor in float32
(LatentDAPS with its configs latent_edm_daps and phase_retrieval/ldm, but 10 annealing steps; 2 particles), on the small
case below: its model has a Gaussian prior, its decoder is a tanh of mixed channels, and all noise comes from one
``RandomState(7)``, whose stream numpy keeps for ever, put in the place of ``torch.randn_like`` there.
"""

import math
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from sampler_lab.operators import Measurement
from sampler_lab.operators.phase_retrieval import PRESETS as OPERATORS
from sampler_lab.posterior.data_steps.hmc import HMC
from sampler_lab.posterior.data_steps.langevin import Langevin
from sampler_lab.samplers.latent_daps import PRESETS, sample_latent_daps
from sampler_lab.schedulers import poly_rho

ROOT = Path(__file__).resolve().parent.parent.parent
STEPS = 10
TOLERANCE = 1e-4
#: z0 after the chain of the first annealing step, of the sixth and of the last, [2, 4, 2, 2] each.
OFFICIAL = {
    0: [
        1.01359,
        0.59127,
        -0.620782,
        -0.396143,
        0.319253,
        1.15191,
        -0.899526,
        -0.762898,
        0.27931,
        0.0101848,
        0.590491,
        0.916161,
        0.67339,
        0.488206,
        0.316148,
        -0.833629,
        1.26362,
        -0.2705,
        -1.24124,
        -1.00243,
        -0.51584,
        0.808067,
        -0.39668,
        -0.32591,
        0.231579,
        -0.564064,
        0.468446,
        0.763727,
        0.303327,
        -0.125679,
        -0.256662,
        -1.16497,
    ],
    5: [
        1.01791,
        0.0037032,
        -0.832249,
        -0.847917,
        0.203175,
        1.09539,
        -0.9167,
        -0.979179,
        0.289688,
        -0.223181,
        0.536892,
        0.928752,
        0.606199,
        -0.00390776,
        0.379674,
        -1.04944,
        0.712532,
        0.496284,
        -1.10639,
        -0.364055,
        -0.0208493,
        1.02849,
        -0.670529,
        -0.76781,
        0.502261,
        -0.0548693,
        0.193101,
        0.705563,
        0.284584,
        0.21579,
        0.141897,
        -0.777451,
    ],
    9: [
        1.22309,
        0.803359,
        -1.38036,
        -0.624672,
        0.336557,
        1.41275,
        -1.43682,
        -1.16089,
        0.120086,
        -0.509521,
        1.05932,
        1.17841,
        0.693681,
        0.475092,
        0.0417256,
        -0.944408,
        0.390084,
        0.36612,
        -0.906224,
        -0.511224,
        0.0825531,
        0.777089,
        -0.549147,
        -0.777291,
        0.335027,
        0.141693,
        0.131671,
        0.661608,
        0.12921,
        0.154796,
        0.300711,
        -0.835902,
    ],
}


class Numbers:
    """Standard normal numbers in the order in which the official code asks for them."""

    def __init__(self) -> None:
        self.stream = np.random.RandomState(7)

    def __call__(self, like):
        return torch.from_numpy(self.stream.standard_normal(tuple(like.shape))).to(like.dtype)


def small_case(dtype=torch.float32):
    """Denoiser, decoder and truth."""
    fixed = np.random.RandomState(11)
    mix = torch.from_numpy((fixed.standard_normal((3, 4)) * 0.6).astype(np.float32)).to(dtype)
    mean = torch.from_numpy(fixed.standard_normal((1, 4, 2, 2)).astype(np.float32)).to(dtype)
    truth = torch.from_numpy(fixed.uniform(-0.8, 0.8, (1, 4, 2, 2)).astype(np.float32)).to(dtype)

    def denoiser(x, sigma, **_):
        variance = torch.as_tensor(sigma, dtype=dtype).reshape(-1, 1, 1, 1) ** 2
        return (mean * variance + x * 0.49) / (0.49 + variance)

    def decoder(z):
        large = z.repeat_interleave(4, -2).repeat_interleave(4, -1)
        return torch.tanh(torch.einsum("ij,njhw->nihw", mix, large))

    return denoiser, decoder, truth


def ours(method=PRESETS["daps_official"], steps=STEPS, drop_sigma_min=True):
    """z0 after the chain of every annealing step, ``[steps, 2, 4, 2, 2]``."""
    numbers, (denoiser, decoder, truth), seen = Numbers(), small_case(), []
    y = OPERATORS["daps"](decoder(truth))
    measurement = Measurement(y + 0.05 * numbers(y), OPERATORS["daps"])
    start = numbers(torch.empty(2, 4, 2, 2)) * 10
    sample_latent_daps(
        denoiser,
        start,
        poly_rho(steps, 0.1, 10.0, drop_sigma_min=drop_sigma_min),
        callback=lambda step: seen.append(step["denoised"]),
        disable=True,
        measurement=measurement,
        decoder=decoder,
        method=method,
        noise_sampler=numbers,
    )
    return torch.stack(seen)


def plainly(preset, steps):
    """The official algorithm in float64, without a line of the pack: z0 after every annealing step."""
    numbers, (denoiser, decoder, truth) = Numbers(), small_case(torch.float64)
    options = PRESETS[preset].data_step

    def amplitudes(image):
        padded = torch.nn.functional.pad((image + 1) / 2, (2, 2, 2, 2))
        spectrum = torch.fft.fft2(torch.fft.ifftshift(padded, dim=(-2, -1)), norm="ortho")
        return torch.fft.fftshift(spectrum, dim=(-2, -1)).abs()

    def levels(count, top, bottom):
        return [(top ** (1 / 7) + k / count * (bottom ** (1 / 7) - top ** (1 / 7))) ** 7 for k in range(count + 1)]

    clean = amplitudes(decoder(truth))
    y = clean + 0.05 * numbers(clean)
    z = numbers(torch.empty(2, 4, 2, 2, dtype=torch.float64)) * 10
    annealing, ends = [*levels(steps, 10.0, 0.1)[:-1], 0.0], []
    for i in range(steps):
        sigma = annealing[i]
        grid = levels(2, sigma, 0.001)
        for now, after in pairwise(grid):
            z = z + (after - now) * (z - denoiser(z, now)) / now
        estimate = z
        rate = options.step_size * (1 + i / (steps + 1) * (options.step_size_end - 1))
        velocity = numbers(z)
        for _ in range(options.steps):
            moved = z.clone().requires_grad_(True)
            (slope,) = torch.autograd.grad(((amplitudes(decoder(moved)) - y) ** 2).sum(), moved)
            score = -slope.clamp(-1, 1) / 0.01**2 + (estimate - z) / sigma**2
            kick = math.sqrt(2 * (1 - options.momentum)) * numbers(z)
            velocity = options.momentum * velocity + math.sqrt(rate) * score + kick
            z = z + math.sqrt(rate) * velocity
        ends.append(z)
        z = z + annealing[i + 1] * numbers(z)
    return torch.stack(ends)


def test_every_stage_is_the_official_codes():
    z = ours()
    for step, stored in OFFICIAL.items():
        expected = torch.tensor(stored).reshape(2, 4, 2, 2)
        # Measured: 1.5e-5. The smallest wrong constant below moves a number by 2e-3.
        torch.testing.assert_close(z[step], expected, rtol=0, atol=TOLERANCE)


def test_it_is_the_published_algorithm():
    torch.testing.assert_close(ours(steps=4).double(), plainly("daps_official", 4), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    "wrong",
    [
        {"momentum": 0.42},
        {"tau": 0.0101 / math.sqrt(2)},
        {"step_size": 2.12e-5},
        {"step_size_end": 0.5},
        {"steps": 64},
        {"gradient_clamp": 0.0},
        {"prior_width": "capped"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_the_case_tells_a_wrong_constant(wrong):
    method = PRESETS["daps_official"]
    other = replace(method, data_step=replace(method.data_step, **wrong))
    assert (ours(other, 3) - ours(steps=3)).abs().max() > 10 * TOLERANCE


def test_the_case_tells_the_other_grid():
    assert (ours(steps=3, drop_sigma_min=False) - ours(steps=3)).abs().max() > 10 * TOLERANCE


def test_the_constants_are_those_of_the_configs():
    """configs/task/phase_retrieval.yaml, its groups ldm, sd and pixel."""
    published = {
        "daps_official": (HMC, 65, 2.1e-5, 0.01, 0.12, 0.41, 1.0),
        "daps_official_sd": (HMC, 95, 1.1e-4, 0.01, 0.027, 0.47, 1.0),
        "daps_official_pixel": (Langevin, 100, 5e-5, 0.01, 0.01, None, 0.0),
    }
    for name, (kind, steps, rate, tau, end, momentum, clamp) in published.items():
        chain = PRESETS[name].data_step
        assert (type(chain), chain.steps, chain.step_size) == (kind, steps, rate), name
        assert chain.tau == pytest.approx(tau / math.sqrt(2)), name  # the official likelihood has no one-half
        assert (chain.step_size_end, chain.gradient_clamp, chain.prior_width) == (end, clamp, "sigma"), name
        assert momentum is None or chain.momentum == momentum, name
    latent, pixel = PRESETS["daps_official"].estimate, PRESETS["daps_official_pixel"].estimate
    assert (latent.steps, latent.sigma_min) == (2, 0.001)
    assert (pixel.steps, pixel.sigma_min) == (5, 0.01)


def test_the_old_names_are_the_same_chains():
    for old, official in (
        ("hmc", "daps_official"),
        ("hmc_stable_diffusion", "daps_official_sd"),
        ("pixel_langevin", "daps_official_pixel"),
    ):
        one, other = PRESETS[old], PRESETS[official]
        assert (one.data_step, one.estimate) == (other.data_step, other.estimate)
        assert (one.decoding.precision, other.decoding.precision) == ("auto", "full")


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_help_page_says_how_sharp_each_preset_is(language):
    """tau, the noise it is for, and how many times the log-likelihood is counted; every preset is named."""
    page = (ROOT / "web" / "docs" / "SamplerLabLatentDAPS" / f"{language}.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| ")
    ]
    told = {row[0]: row for row in rows if row[0] in PRESETS and len(row) == 8}
    for name, row in told.items():
        chain = PRESETS[name].data_step
        assert int(row[3]) == chain.steps, name
        assert float(row[5]) == pytest.approx(chain.tau, rel=0.01), name
        assert chain.sharpness(float(row[6])) == pytest.approx(float(re.match(r"[\d.]+", row[7]).group()), rel=0.02), (
            name
        )
    assert len(told) == 6
    for name in PRESETS.keys() - told.keys():
        assert f"**{name}**" in page


def test_the_noise_that_a_tau_is_honest_about():
    chain = replace(PRESETS["emoji_hmc"].data_step, tau=0.05)
    assert chain.noise_sigma == pytest.approx(0.05)
    assert chain.sharpness(0.05) == pytest.approx(1.0)
    assert replace(chain, weight=4.0).sharpness(0.05) == pytest.approx(4.0)
    assert replace(chain, weight=0.0).sharpness(0.05) == 0.0
