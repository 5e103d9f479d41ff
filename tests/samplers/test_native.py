"""Beside the host's own functions: form="comfyui" bit for bit, and the same numbers where the host is right."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from problems import CONST, GUIDED, PRIOR, VE, GuidedModel
from sampler_lab.samplers import CATALOGUE, entry

BOTH = pytest.mark.parametrize("parameterization", [VE, CONST], ids=lambda p: p.name)
WITH_FORM = [e.name for e in CATALOGUE if "form" in {option.name for option in e.options}]
SIGMAS = {"VE": [14.6, 6.0, 2.2, 0.9, 0.3, 0.05, 0.0], "CONST": [1.0, 0.93, 0.8, 0.6, 0.35, 0.1, 0.0]}


@pytest.fixture(scope="module")
def native(comfyui) -> ModuleType:
    """The host's ``comfy.k_diffusion.sampling``, imported for the CPU; ``sys.path`` is put back."""
    sys.path.insert(0, str(comfyui))
    try:
        import comfy.cli_args

        comfy.cli_args.args.cpu = True
        import comfy.k_diffusion.sampling
        import comfy.model_sampling

        return comfy.k_diffusion.sampling
    finally:
        sys.path.remove(str(comfyui))


def host_model(parameterization, scale=0.6):
    """The test's model, dressed as what the host hands its samplers."""
    import comfy.model_sampling

    base = comfy.model_sampling.CONST if parameterization is CONST else comfy.model_sampling.EPS
    model_sampling = type("ModelSampling", (comfy.model_sampling.ModelSamplingDiscreteFlow, base), {})()
    if parameterization is VE:
        model_sampling = type("ModelSampling", (comfy.model_sampling.ModelSamplingDiscrete, base), {})()
    model = GuidedModel(parameterization, GUIDED, PRIOR, scale)
    patcher = SimpleNamespace(get_model_object=lambda name: {"model_sampling": model_sampling}[name])
    model.inner_model = SimpleNamespace(
        inner_model=SimpleNamespace(model_sampling=model_sampling), model_patcher=patcher
    )
    return model


def both(native, name, parameterization, *, ours=None, dtype=torch.float32, sigmas=None, **options):
    """The host's result and ours from the same start; ``ours``: options of our function alone."""
    sigmas = torch.tensor(SIGMAS[parameterization.name]) if sigmas is None else sigmas
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0)).to(dtype) * sigmas[0].to(dtype)
    model = host_model(parameterization)
    theirs = getattr(native, f"sample_{name}")(model, x.clone(), sigmas, {"seed": 5}, None, True, **options)
    found = entry(name).function(model, x, sigmas, {"seed": 5}, None, True, **options, **(ours or {}))
    return theirs, found


@BOTH
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("sigmas", ["to zero", "not to zero", "skipping"])
@pytest.mark.parametrize("name", WITH_FORM)
def test_comfyui_form_is_the_hosts_bit_for_bit(native, name, sigmas, dtype, parameterization):
    """With its noise, too: the samplers of the family ``res_multistep_ancestral`` draw as the host draws."""
    levels = torch.tensor(SIGMAS[parameterization.name])
    levels = {"to zero": levels, "not to zero": levels[:-1], "skipping": levels[[0, 1, 2, 4, 6]]}[sigmas]
    theirs, found = both(native, name, parameterization, ours={"form": "comfyui"}, dtype=dtype, sigmas=levels)
    assert found.dtype == dtype  # the host lets half precision grow to float32 on the way
    assert torch.equal(found, theirs.to(dtype))
    assert torch.isfinite(found).all()


@BOTH
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gradient_estimation_cfg_pp", {"ge_gamma": 1.0}),
        ("gradient_estimation_cfg_pp", {"ge_gamma": 1.7}),
        ("res_multistep_ancestral", {"eta": 0.4, "s_noise": 1.1}),
        ("res_multistep_ancestral_cfg_pp", {"eta": 0.0}),
        ("res_multistep_ancestral_cfg_pp", {"eta": 1.0, "s_noise": 0.9}),
    ],
)
def test_comfyui_form_keeps_the_hosts_options(native, name, options, parameterization):
    theirs, found = both(native, name, parameterization, ours={"form": "comfyui"}, **options)
    assert torch.equal(found, theirs)


@BOTH
@pytest.mark.parametrize("name", WITH_FORM)
def test_core_is_the_old_name_of_comfyui(native, name, parameterization):
    _, comfyui = both(native, name, parameterization, ours={"form": "comfyui"})
    _, core = both(native, name, parameterization, ours={"form": "core"})
    _, auto = both(native, name, parameterization)
    assert torch.equal(core, comfyui)
    assert not torch.equal(auto, comfyui)


@pytest.mark.parametrize(
    "name",
    [
        "euler",
        "euler_cfg_pp",
        "gradient_estimation",
        "gradient_estimation_cfg_pp",
        "dpmpp_2m",
        "dpmpp_2m_cfg_pp",
        "res_multistep",
    ],
)
def test_on_ve_the_host_is_right(native, name):
    theirs, found = both(native, name, VE)
    assert torch.allclose(found, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "agrees"), [("euler_cfg_pp", True), ("gradient_estimation_cfg_pp", False)])
def test_on_a_flow_only_the_hosts_euler_is_right(native, name, agrees):
    """The reason for this pack's samplers; should it fail one day, the host has been repaired."""
    theirs, found = both(native, name, CONST, sigmas=torch.tensor(SIGMAS["CONST"])[1:])
    assert torch.allclose(found, theirs, rtol=1e-4, atol=1e-4) == agrees


#: (name, model) -> how far ours is from the host's with the same noise, relative, and why; the others agree.
DIFFERENT = {
    ("euler_ancestral", "CONST"): (0.1, 0.4, "the host divides a flow's step into its two parts in another way"),
    ("dpmpp_2s_ancestral", "CONST"): (0.1, 0.4, "the same"),
    ("dpmpp_2s_ancestral_cfg_pp", "VE"): (0.03, 0.2, "the host takes u from the middle of the step, D from its start"),
    ("dpmpp_2s_ancestral_cfg_pp", "CONST"): (0.3, 0.8, "the same, and it takes a flow model for VE"),
    ("res_multistep_ancestral", "CONST"): (0.05, 1.0, "the host takes a flow model for VE where it adds noise"),
    ("res_multistep_ancestral_cfg_pp", "VE"): (0.03, 1.0, "the host leaves (1 - e^-h)(D - u) out after its first step"),
    ("res_multistep_ancestral_cfg_pp", "CONST"): (0.05, 1.0, "both"),
}


@BOTH
@pytest.mark.parametrize(
    "name",
    [e.name for e in CATALOGUE if e.stochastic and e.family != "er_sde"],
)
def test_ancestral_steps_are_the_hosts_or_differ_as_said(native, name, parameterization):
    """With the same noise. ER-SDE beside the host's is in tests/host/test_sampler_parity.py."""
    noises = torch.randn(6, 2, 4, 8, 8, generator=torch.Generator().manual_seed(9))

    def sampler_of_noise():
        drawn = iter(noises)
        return lambda sigma, sigma_next: next(drawn)

    sigmas = torch.tensor(SIGMAS[parameterization.name])
    x, model = noises[5] * sigmas[0], host_model(parameterization)
    theirs = getattr(native, f"sample_{name}")(model, x, sigmas, {}, None, True, noise_sampler=sampler_of_noise())
    given = {"parameterization": parameterization, "noise_sampler": sampler_of_noise()}
    found = entry(name).function(model, x, sigmas, {}, None, True, **given)
    low, high, _ = DIFFERENT.get((name, parameterization.name), (0.0, 1e-5, "the same"))
    assert low <= ((found - theirs).norm() / theirs.norm()).item() <= high
