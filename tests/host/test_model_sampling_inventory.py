"""What the host's model samplings have and what of it concerns us: an addition fails here and not in a picture.

``noise_scale`` came with 0.30 and every sampler of ours ignored it, unnoticed. Read off the host's source, so that the
test needs no running host.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

READ = "read in host/model_sampling.py"
TABLE = "the table of levels: schedulers and percents read it, samplers are handed sigmas"
NETWORK = "between the host and the network: a sampler only sees the denoiser"
MAPS = "x at a level and back: the host calls them before and after a sampler; ours re-noise by alpha and noise_scale"
SHIFT = "moves the table of levels"
BUFFER = "torch.nn.Module's own"

#: Every attribute, method and argument of the classes in comfy/model_sampling.py, and why it needs no more from us.
KNOWN = {
    "noise_scale": READ,
    "set_noise_scale": READ,
    **dict.fromkeys(("calculate_input", "calculate_denoised", "sigma_data", "timestep", "num_timesteps"), NETWORK),
    **dict.fromkeys(("noise_scaling", "inverse_noise_scaling", "max_denoise"), MAPS),
    **dict.fromkeys(
        ("sigma", "sigmas", "log_sigmas", "sigma_min", "sigma_max", "percent_to_sigma", "set_sigmas", "zsnr"), TABLE
    ),
    **dict.fromkeys(("linear_start", "linear_end", "beta_schedule", "timesteps", "_register_schedule"), TABLE),
    **dict.fromkeys(("shift", "multiplier", "set_parameters", "cosine_s", "_init_alpha_cumprod"), SHIFT),
    **dict.fromkeys(("__init__", "register_buffer", "model_config", "betas"), BUFFER),
}
#: The classes: a new kind may have another alpha, which parameterization_of_model_sampling must be taught.
CLASSES = {
    **dict.fromkeys(("EPS", "V_PREDICTION", "V_PREDICTION_DDPM", "EDM", "X0", "IMG_TO_IMG", "COSMOS_RFLOW"), "VE"),
    **dict.fromkeys(("CONST", "IMG_TO_IMG_FLOW"), "CONST"),
    **dict.fromkeys(
        (
            *("ModelSamplingDiscrete", "ModelSamplingDiscreteEDM", "ModelSamplingContinuousEDM"),
            *("ModelSamplingContinuousV", "ModelSamplingDiscreteFlow", "StableCascadeSampling", "ModelSamplingFlux"),
            "ModelSamplingCosmosRFlow",
        ),
        "a table of levels",
    ),
}
#: What the host's samplers and their loop ask of a model sampling.
ASKED = {
    **dict.fromkeys(("noise_scale",), READ),
    **dict.fromkeys(("noise_scaling", "inverse_noise_scaling"), MAPS),
    **dict.fromkeys(("sigmas", "sigma_min", "sigma_max", "sigma", "timestep", "percent_to_sigma"), TABLE),
}


def names_of(tree: ast.Module) -> set[str]:
    """Methods, arguments of sampling settings, and everything that a method reads from or writes to ``self``."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            found |= {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
            found |= set(own_names(node))
    return found


def own_names(class_definition: ast.ClassDef):
    for node in ast.walk(class_definition):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            yield node.attr
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant | ast.Name):
            function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            named = node.args[1 if function in ("getattr", "hasattr") and len(node.args) > 1 else 0]
            if function in ("getattr", "hasattr", "get", "register_buffer") and isinstance(named, ast.Constant):
                yield named.value


def asked_of_model_sampling(tree: ast.Module) -> set[str]:
    """Attributes read from something called ``model_sampling``, directly or by ``getattr``."""

    def is_model_sampling(node: ast.expr) -> bool:
        if isinstance(node, ast.Call):
            return any(isinstance(a, ast.Constant) and a.value == "model_sampling" for a in node.args)
        return getattr(node, "attr", getattr(node, "id", "")) == "model_sampling"

    found = set()
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and is_model_sampling(node.value)
            and ast.unparse(node.value) != "comfy.model_sampling"
        ):
            found.add(node.attr)
        called = isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("getattr", "hasattr")
        if called and is_model_sampling(node.args[0]):
            found.add(node.args[1].value)
    return found


@pytest.fixture(scope="module")
def source(comfyui: Path) -> ast.Module:
    return ast.parse((comfyui / "comfy" / "model_sampling.py").read_text(encoding="utf-8"))


def test_every_attribute_of_the_hosts_model_samplings_is_known(source):
    unknown = names_of(source) - set(KNOWN)
    assert not unknown, f"new in the host: {sorted(unknown)}; does a sampler or re-noising have to read it?"


def test_every_kind_of_model_sampling_is_known(source):
    classes = {node.name for node in ast.walk(source) if isinstance(node, ast.ClassDef)}
    assert not classes - set(CLASSES), "does parameterization_of_model_sampling give it the right alpha?"


@pytest.mark.parametrize(
    "file", ["comfy/k_diffusion/sampling.py", "comfy/k_diffusion/sa_solver.py", "comfy/samplers.py"]
)
def test_the_hosts_samplers_ask_for_nothing_that_ours_do_not_know(comfyui, file):
    found = asked_of_model_sampling(ast.parse((comfyui / file).read_text(encoding="utf-8")))
    assert not found - set(ASKED)


def test_the_inventory_would_notice():
    """An attribute added in each way that the host adds them."""
    new = ast.parse(
        "class New:\n"
        "    def scale_more(self, x):\n"
        "        return x * getattr(self, 'third_scale', 1.0) + self.fourth\n"
        "    def __init__(self, settings):\n"
        "        self.register_buffer('fifth', settings.get('sixth', 1.0))\n"
    )
    assert names_of(new) - set(KNOWN) == {"scale_more", "third_scale", "fourth", "fifth", "sixth"}
    asking = ast.parse("a = getattr(p.get_model_object('model_sampling'), 'x', 1)\nb = m.model_sampling.y\n")
    assert asked_of_model_sampling(asking) == {"x", "y"}
