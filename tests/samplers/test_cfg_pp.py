"""CFG++: what each sampler reduces to, that VE and flow models follow one trajectory, and what happens without u."""

from __future__ import annotations

import logging
from itertools import pairwise

import pytest
import torch
from problems import CONST, GUIDED, PRIOR, VE, GuidedModel
from sampler_lab.samplers import CATALOGUE, entry
from sampler_lab.schedulers import poly_rho

BOTH = pytest.mark.parametrize("parameterization", [VE, CONST], ids=lambda p: p.name)
EVERY = pytest.mark.parametrize("sampler", CATALOGUE, ids=lambda e: e.name)
NAMES = {e.name for e in CATALOGUE}
#: CFG++ forms of samplers that are there without it, too.
CFG_PP = pytest.mark.parametrize(
    "sampler", [e for e in CATALOGUE if e.cfg_pp and e.family in NAMES], ids=lambda e: e.name
)
NOISE = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def levels(parameterization, n=12):
    """The same levels for both: 20 to 0.05 in VE units, then 0."""
    return parameterization.sigma_from_ve(poly_rho(n, 0.05, 20.0).double())


def sample(function, parameterization, *, guided=True, scale=0.6, sigmas=None, model=None, **options):
    sigmas = levels(parameterization) if sigmas is None else sigmas
    model = model or GuidedModel(parameterization, GUIDED, PRIOR if guided else GUIDED, scale)
    x = NOISE * sigmas[0]  # pure noise, as the host starts; alpha·x0 is left out on both models alike below
    return function(model, x, sigmas, extra_args={"seed": 4}, disable=True, **options)


@BOTH
@CFG_PP
def test_without_guidance_each_is_its_base(sampler, parameterization):
    base = entry(sampler.family)
    expected = sample(base.function, parameterization, guided=False)
    assert torch.allclose(sample(sampler.function, parameterization, guided=False), expected, rtol=1e-10, atol=1e-10)
    # ... and with guidance it is something else, or the line above would prove nothing.
    assert (sample(sampler.function, parameterization) - sample(base.function, parameterization)).abs().max() > 1e-2


@BOTH
@CFG_PP
@pytest.mark.parametrize("start", ["a finite level", "pure noise"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_with_u_equal_to_D_each_is_its_base_to_the_bit(sampler, parameterization, dtype, start):
    """Whatever tensor u is in: a copy of D is the same prediction. With the sampler's own noise."""
    first = 20.0 if start == "a finite level" else 2e5
    s = torch.tensor([first, 9.0, 4.0, 1.5, 0.6, 0.2, 0.0], dtype=torch.float64)
    sigmas = parameterization.sigma_from_ve(s)
    if start == "pure noise" and parameterization is CONST:
        sigmas[0] = 1.0
    inner = GuidedModel(parameterization, GUIDED)
    copies = []

    def model(x, sigma, model_options=None, seed=None):
        D = inner(x.double(), sigma).to(x.dtype)
        for hook in (model_options or {}).get("sampler_post_cfg_function", []):
            copies.append(D.clone())
            D = hook({"denoised": D, "uncond_denoised": copies[-1], "uncond": ["negative"]})
        return D

    x = (NOISE * sigmas[0]).to(dtype)
    base = entry(sampler.family).function
    plain, with_u = (
        function(model, x, sigmas, {"seed": 4}, None, True, parameterization=parameterization)
        for function in (base, sampler.function)
    )
    assert copies
    assert torch.isfinite(plain).all()
    assert torch.equal(with_u, plain)


@BOTH
@pytest.mark.parametrize("suffix", ["", "_cfg_pp"])
def test_gamma_1_is_euler(parameterization, suffix):
    euler = sample(entry("euler" + suffix).function, parameterization)
    estimated = sample(entry("gradient_estimation" + suffix).function, parameterization, ge_gamma=1.0)
    assert torch.allclose(estimated, euler, rtol=1e-10, atol=1e-10)
    assert not torch.allclose(
        sample(entry("gradient_estimation" + suffix).function, parameterization), euler, atol=1e-3
    )


@BOTH
@pytest.mark.parametrize("suffix", ["", "_cfg_pp"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("euler_ancestral", {"eta": 0.0}),
        ("res_multistep_ancestral", {"eta": 0.0}),
        ("dpmpp_2m", {"solver_type": "heun"}),
        ("er_sde", {"solver_type": "ode", "max_stage": 1}),
    ],
)
def test_families_meet(name, options, suffix, parameterization):
    twin = {"euler_ancestral": "euler", "er_sde": "euler"}.get(name, "res_multistep") + suffix
    if name == "dpmpp_2m" and suffix:
        options = {**options, "higher_order_term": "unconditional"}
    expected = sample(entry(twin).function, parameterization)
    assert torch.allclose(sample(entry(name + suffix).function, parameterization, **options), expected, atol=1e-9)


@EVERY
def test_one_trajectory_on_ve_and_flow(sampler):
    """The same prior seen as a flow: x_flow = x_ve·alpha at every level, sigmas mapped; noise drawn is the same."""
    seen = {}
    for parameterization in (VE, CONST):
        sigmas = levels(parameterization)
        x = NOISE * sigmas[0]  # on VE 20·noise; on the flow alpha·20·noise, the same point
        model = GuidedModel(parameterization, GUIDED, PRIOR, 0.6)
        path = []
        out = sampler.function(
            model,
            x,
            sigmas,
            {"seed": 4},
            lambda step, path=path: path.append(step),
            True,
            parameterization=parameterization,
        )
        seen[parameterization.name] = (
            [parameterization.to_ve(p["x"], p["sigma"]) for p in path],
            [p["denoised"] for p in path],
            out,
        )
    for ve, flow in zip(seen["VE"][0] + seen["VE"][1], seen["CONST"][0] + seen["CONST"][1], strict=True):
        assert torch.allclose(ve, flow, rtol=1e-8, atol=1e-8)
    assert torch.allclose(seen["VE"][2], seen["CONST"][2], rtol=1e-8, atol=1e-8)


@EVERY
def test_one_trajectory_in_single_precision(sampler):
    """The bound the issue sets: relative error at most 1e-4 in fp32."""
    out = {}
    for parameterization in (VE, CONST):
        sigmas = levels(parameterization).float()
        model = GuidedModel(parameterization, GUIDED, PRIOR, 0.6)
        x = NOISE.float() * sigmas[0]
        out[parameterization.name] = sampler.function(model, x, sigmas, {"seed": 4}, None, True)
    assert (out["VE"] - out["CONST"]).norm() / out["VE"].norm() <= 1e-4


@EVERY
def test_a_flow_starts_at_pure_noise(sampler):
    """alpha = 0 at sigma = 1 gives the limit of sigma near 1, and the first call sees sigma = 1 itself."""

    def start_at(first):
        sigmas = torch.linspace(1, 0, 11, dtype=torch.float64)
        sigmas[0] = first
        model = GuidedModel(CONST, GUIDED, PRIOR, 0.6)
        out = sample(sampler.function, CONST, sigmas=sigmas, model=model)
        assert model.calls[0] == first
        return out

    exact = start_at(1.0)
    assert torch.isfinite(exact).all()
    off = [(start_at(1.0 - gap) - exact).abs().max() for gap in (1e-3, 1e-6, 1e-12)]
    assert off[2] < off[1] < off[0]
    # Samplers that look at lambda = log(alpha/sigma) come near it as slowly as 1/lambda, hence the wide bound.
    assert off[2] < (1e-6 if sampler.family.startswith(("euler", "gradient")) else 5e-3)


@BOTH
def test_dpmpp_2m_cfg_pp_is_the_published_step(parameterization):
    """Written out in VE coordinates, with both readings of the third term and both solver types."""
    sigmas = parameterization.sigma_ve(levels(parameterization)).tolist()
    model = GuidedModel(VE, GUIDED, PRIOR, 0.6)
    for term in ("guided", "unconditional"):
        for solver in ("midpoint", "heun"):
            x = NOISE * 20.0
            u_last = h_last = None
            for s, s_next in pairwise(sigmas):
                cond, u = model.predictions(x, torch.full((3,), s, dtype=torch.float64))
                D = u + 0.6 * (cond - u)
                h = torch.tensor(s / s_next if s_next else torch.inf).double().log()
                x_next = D + (-h).exp() * (x - u)
                if u_last is not None and s_next > 0:
                    r = h_last / h
                    c = -torch.expm1(-h) / (2 * r) if solver == "midpoint" else (1 + torch.expm1(-h) / h) / r
                    x_next = x_next + c * ((D if term == "guided" else u) - u_last)
                x, u_last, h_last = x_next, u, h
            function = entry("dpmpp_2m_cfg_pp").function
            found = sample(function, parameterization, higher_order_term=term, solver_type=solver)
            assert torch.allclose(found, x, atol=1e-8), (term, solver)


@CFG_PP
def test_without_negative_conditioning_it_is_the_plain_sampler_and_says_so_once(sampler, caplog):
    base = entry(sampler.family)
    with caplog.at_level(logging.WARNING):
        found = sample(sampler.function, CONST, model=GuidedModel(CONST, GUIDED, PRIOR, 0.6, negative=None))
    expected = sample(base.function, CONST, model=GuidedModel(CONST, GUIDED, PRIOR, 0.6, negative=None))
    assert torch.equal(found, expected)
    assert [r.message for r in caplog.records if "negative" in r.message] == [
        "CFG++ needs negative conditioning and got none: sampling goes on without CFG++."
    ]


@CFG_PP
def test_cfg_1_keeps_the_unconditional_prediction(sampler, caplog):
    """The host skips u at CFG 1 unless asked; CFG++ at scale 1 is the conditional image and unconditional noise."""
    found = sample(sampler.function, VE, scale=1.0)
    base = sample(entry(sampler.family).function, VE, scale=1.0)
    assert not caplog.records
    assert (found - base).abs().max() > 1e-2


@BOTH
def test_outside_a_mask_the_noise_belongs_to_the_given_picture(parameterization):
    """The host replaces D there; a CFG++ step must keep to the straight line between the picture and its noise."""
    picture = torch.full_like(NOISE, 0.8)
    mask = torch.zeros_like(NOISE)
    mask[..., :2] = 1.0
    inner = GuidedModel(parameterization, GUIDED, PRIOR, 0.6)

    def model(x, sigma, denoise_mask, **extra_args):
        level = sigma.reshape(-1, 1, 1, 1)
        given = parameterization.alpha(level) * picture + level * NOISE
        return torch.lerp(picture, inner(torch.lerp(given, x, denoise_mask), sigma, **extra_args), denoise_mask)

    sigmas = levels(parameterization)
    start = parameterization.alpha(sigmas[0]) * picture + sigmas[0] * NOISE
    states = []
    entry("euler_cfg_pp").function(
        model, start, sigmas, {"denoise_mask": mask}, states.append, True, parameterization=parameterization
    )
    for state in states:
        line = parameterization.alpha(state["sigma"]) * picture + state["sigma"] * NOISE
        assert torch.allclose(state["x"][..., 2:], line[..., 2:], atol=1e-9)
        assert state["i"] == 0 or not torch.allclose(state["x"][..., :2], line[..., :2], atol=1e-2)
