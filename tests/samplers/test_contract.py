"""What ComfyUI relies on: shapes, dtypes, the callback, cancelling, the caller's things unchanged, strange sigmas."""

from __future__ import annotations

import inspect

import pytest
import torch
from problems import CONST, GUIDED, ONE_GAUSSIAN, PRIOR, VE, GuidedModel
from sampler_lab import samplers
from sampler_lab.samplers import CATALOGUE, convention, entry
from sampler_lab.samplers.options import ETA

EVERY = pytest.mark.parametrize("sampler", CATALOGUE, ids=lambda e: e.name)
BOTH = pytest.mark.parametrize("parameterization", [VE, CONST], ids=lambda p: p.name)
SHAPES = [(2, 4, 6), (2, 4, 6, 5), (1, 4, 3, 6, 5), (1, 1, 77)]
SIGMAS = torch.tensor([0.95, 0.7, 0.4, 0.15, 0.0])


def noise(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def guided(parameterization=CONST):
    return GuidedModel(parameterization, GUIDED, PRIOR, 0.6)


def sample(sampler, x, sigmas=SIGMAS, model=None, callback=None, seed=3, **options):
    return sampler.function(model or guided(), x, sigmas, {"seed": seed}, callback, True, **options)


@EVERY
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_number_of_dimensions_gives_the_same_values(sampler, shape):
    x = noise(shape)
    out = sample(sampler, x)
    assert out.shape == shape
    # The model treats every value alone, so the shape of an item must not matter.
    assert torch.allclose(out, sample(sampler, x.reshape(shape[0], -1)).reshape(shape), atol=1e-6)


@EVERY
@BOTH
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(sampler, parameterization, dtype):
    seen = set()
    inner = guided(parameterization)

    def model(x, sigma, **extra_args):
        seen.add((x.dtype, sigma.dtype))
        return inner(x.float(), sigma, **extra_args).to(x.dtype)

    x = noise((2, 4, 8, 8)).to(dtype)
    out = sample(sampler, x, model=model, parameterization=parameterization)
    exact = sample(sampler, x.float(), model=inner)
    assert out.dtype == dtype
    assert seen == {(dtype, torch.float32)}
    # Every call rounds x and D once, to 2^-11 or 2^-8 of a value of about 2; the state in between is float32.
    assert (out.float() - exact).abs().mean() < (0.002 if dtype == torch.float16 else 0.016)


@EVERY
def test_the_callers_things_are_left_alone(sampler):
    def hook(args):
        return args["denoised"]

    x, sigmas = noise((2, 4, 4)), SIGMAS.clone()
    x_before = x.clone()
    options = {"sampler_post_cfg_function": [hook], "transformer_options": {"a": 1}}
    extra_args = {"seed": 3, "model_options": options}
    sampler.function(guided(), x, sigmas, extra_args, None, True)
    assert torch.equal(x, x_before)
    assert torch.equal(sigmas, SIGMAS)
    assert extra_args == {"seed": 3, "model_options": options}
    assert extra_args["model_options"] is options
    assert options == {"sampler_post_cfg_function": [hook], "transformer_options": {"a": 1}}


@EVERY
def test_the_callers_hooks_run_on_every_call(sampler):
    heard = []

    def hook(args):
        heard.append(args["denoised"])
        return args["denoised"] * 0.5

    model = guided()
    extra_args = {"seed": 3, "model_options": {"sampler_post_cfg_function": [hook]}}
    out = sampler.function(model, noise((2, 4, 4)), SIGMAS, extra_args, None, True)
    assert len(heard) == len(model.calls)
    assert (out - sample(sampler, noise((2, 4, 4)))).abs().max() > 1e-2


@EVERY
def test_one_callback_a_step(sampler):
    model, steps = guided(), []
    out = sample(sampler, noise((2, 4, 4)), model=model, callback=steps.append)
    n = len(SIGMAS) - 1
    assert [s["i"] for s in steps] == list(range(n))
    assert [float(s["sigma"]) for s in steps] == SIGMAS[:-1].tolist()
    for step in steps:
        assert set(step) == {"x", "i", "sigma", "sigma_hat", "denoised"}
        assert step["sigma_hat"] == step["sigma"]
        assert step["x"].shape == step["denoised"].shape == (2, 4, 4)
    assert torch.equal(steps[0]["x"], noise((2, 4, 4)))
    # Two calls a step are one less in the last, which ends at 0.
    per_step = sampler.model_calls_per_step
    assert len(model.calls) == n * per_step - (per_step - 1)
    assert torch.allclose(out, steps[-1]["denoised"])  # the last step goes to the prediction


class Cancelled(Exception):
    pass


@EVERY
def test_cancel_from_the_callback_passes_through(sampler):
    reached = []

    def cancel(step):
        reached.append(step["i"])
        if step["i"] == 1:
            raise Cancelled

    with pytest.raises(Cancelled):
        sample(sampler, noise((1, 4)), callback=cancel)
    assert reached == [0, 1]


@EVERY
def test_cancel_from_the_model_passes_through(sampler):
    model = guided()

    def failing(x, sigma, **extra_args):
        if len(model.calls) == 2:
            raise Cancelled
        return model(x, sigma, **extra_args)

    with pytest.raises(Cancelled):
        sample(sampler, noise((1, 4)), model=failing, parameterization=CONST)
    assert len(model.calls) == 2


@EVERY
@pytest.mark.parametrize("sigmas", [[], [0.7], [0.0]], ids=str)
def test_no_step_gives_x_back(sampler, sigmas):
    model, x = guided(), noise((2, 4))
    assert torch.equal(sample(sampler, x, torch.tensor(sigmas), model), x)
    assert model.calls == []


@EVERY
def test_sigmas_need_not_end_at_zero_nor_start_at_the_top(sampler):
    """Stopping and going on is the same as going through, for samplers without a memory of earlier steps."""
    options = dict(sampler.noiseless)
    if sampler.family == "er_sde":
        options["max_stage"] = 1
    x = noise((2, 4)).double()
    whole = sample(sampler, x, SIGMAS.double(), **options)
    middle = sample(sampler, x, SIGMAS[:3].double(), **options)
    assert (middle - x).abs().max() > 0.1
    if sampler.family in ("euler", "euler_ancestral", "dpmpp_2s_ancestral", "er_sde"):
        assert torch.allclose(sample(sampler, middle, SIGMAS[2:].double(), **options), whole, atol=1e-12)


@EVERY
def test_a_repeated_sigma_counts_once(sampler):
    model, steps = guided(), []
    repeated = SIGMAS[[0, 0, 1, 2, 2, 2, 3, 4, 4]]
    out = sample(sampler, noise((2, 4)), repeated, model, steps.append)
    assert torch.equal(out, sample(sampler, noise((2, 4))))
    assert [s["i"] for s in steps] == [0, 1, 2, 3]


@EVERY
@pytest.mark.parametrize(
    ("sigmas", "words"),
    [
        ([0.9, float("nan"), 0.0], "NaN"),
        ([0.9, float("inf"), 0.0], "infinity"),
        ([0.9, 0.3, 0.5, 0.0], "down and up"),
        ([0.9, 0.3, -0.1], "negative"),
        ([14.6, 3.0, 0.0], "flow model"),
        ([0.0, 0.3, 0.9], "rise|rising"),
        ([[0.9, 0.0]], "dimensions"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_impossible_sigmas_are_named_before_any_work(sampler, sigmas, words):
    model = guided()
    with pytest.raises(ValueError, match=words):
        sample(sampler, noise((2, 4)), torch.tensor(sigmas), model)
    assert model.calls == []


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("gradient_estimation", {"ge_gamma": float("nan")}, "ge_gamma"),
        ("gradient_estimation_cfg_pp", {"form": "native"}, "form is 'native'; choose one of auto, comfyui, core"),
        ("res_multistep_cfg_pp", {"form": "native"}, "form is 'native'; choose one of auto, comfyui, core"),
        ("dpmpp_2m", {"solver_type": "rk4"}, "solver_type"),
        ("dpmpp_2m_cfg_pp", {"higher_order_term": "none"}, "higher_order_term"),
        ("euler_ancestral", {"eta": -0.1}, "eta"),
        ("dpmpp_2s_ancestral_cfg_pp", {"s_noise": -1.0}, "s_noise"),
        ("res_multistep_ancestral", {"eta": float("nan")}, "eta"),
        ("er_sde", {"max_stage": 4}, "max_stage"),
        ("er_sde_cfg_pp", {"solver_type": "sde"}, "solver_type"),
    ],
)
def test_impossible_options_are_named_before_any_work(name, options, words):
    model = guided()
    with pytest.raises(ValueError, match=words):
        sample(entry(name), noise((2, 4)), model=model, **options)
    assert model.calls == []


@EVERY
def test_one_bad_item_leaves_the_others_alone(sampler):
    x = noise((3, 4, 4))
    good = sample(sampler, x)
    x[1, 0, 0] = float("nan")
    out = sample(sampler, x)
    assert torch.equal(out[[0, 2]], good[[0, 2]])


@EVERY
def test_signature_and_catalogue_agree(sampler):
    parameters = inspect.signature(sampler.function).parameters
    fixed = ["model", "x", "sigmas", "extra_args", "callback", "disable"]
    options = {o.name: o.default for o in sampler.options}
    assert list(parameters) == [*fixed, *options, "parameterization", "noise_sampler"]
    assert {name: parameters[name].default for name in options} == options
    assert sampler.function.__name__ == f"sample_{sampler.name}"
    assert set(sampler.noiseless) <= set(options)
    assert sampler.function.__doc__
    for option in sampler.options:
        option.check(option.default)
        assert option.choices or option.minimum <= option.default <= option.maximum
        assert option.description in sampler.function.__doc__


def test_options_may_be_given_by_place_and_none_beside_them():
    x, model = noise((2, 4)), guided()
    given = (model, x, SIGMAS, {"seed": 3}, None, True)
    by_name = sample(entry("er_sde"), x, solver_type="ode", max_stage=2)
    assert torch.equal(entry("er_sde").function(*given, "ode", 2), by_name)
    with pytest.raises(TypeError, match="gamma"):
        sample(entry("euler"), x, gamma=2.0)


def test_an_option_without_a_parameter_is_noticed_at_once():
    def sample_other(run, strength):
        return run.x

    with pytest.raises(TypeError, match="sample_other takes no eta"):
        convention.sampler(ETA)(sample_other)


@EVERY
def test_the_package_exports_what_the_catalogue_lists(sampler):
    name = f"sample_{sampler.name}"
    assert getattr(samplers, name) is sampler.function
    assert name in samplers.__all__
    assert name in dir(samplers)


def test_the_package_exports_latent_daps_when_it_is_asked_for_and_nothing_else():
    assert samplers.sample_latent_daps.__name__ == "sample_latent_daps"
    with pytest.raises(AttributeError, match="sample_heun"):
        _ = samplers.sample_heun


def test_catalogue_names():
    names = [e.name for e in CATALOGUE]
    assert len(set(names)) == len(names)
    assert entry("lab_euler") is entry("euler")
    assert all(e.cfg_pp == e.name.endswith("_cfg_pp") for e in CATALOGUE)
    with pytest.raises(ValueError, match="no sampler is called 'heun'"):
        entry("heun")


@EVERY
def test_stochastic_ones_and_only_they_draw_noise(sampler):
    model, x = GuidedModel(CONST, ONE_GAUSSIAN), noise((2, 64))
    same = torch.equal(sample(sampler, x, model=model, seed=1), sample(sampler, x, model=model, seed=2))
    assert same != sampler.stochastic
    assert torch.equal(sample(sampler, x, model=model, seed=1), sample(sampler, x, model=model, seed=1))
