"""Every sampler beside its native counterpart, through the prompt queue, on a VE and on a flow model.

What has a ``form`` gives the host's own bits; without noise the others are the host's to rounding, or differ as
``DIFFERENT`` says and by how much it says.
"""

from __future__ import annotations

import pytest
import torch
from host_graphs import EmojiGraph
from sampler_lab.labkit.client import Client
from sampler_lab.samplers import CATALOGUE

pytestmark = pytest.mark.host

KINDS = ("edm", "flow")
STEPS = 6
WITH_FORM = {e.name for e in CATALOGUE if "form" in {option.name for option in e.options}}
#: Our options without noise, and the host's nodes that can be told to add none. Its 2S samplers have no such node;
#: they are compared with the same noise in tests/samplers/test_native.py.
NOISELESS = {
    "euler_ancestral": ("SamplerEulerAncestral", {"eta": 0.6, "s_noise": 0.0}),
    # From a flow model's pure noise the host's first step has all of eta, whatever it is.
    "euler_ancestral_cfg_pp": ("SamplerEulerAncestralCFGPP", {"eta": 1.0, "s_noise": 0.0}),
    "er_sde": ("SamplerER_SDE", {"solver_type": "ER-SDE", "max_stage": 3, "eta": 1.0, "s_noise": 0.0}),
}
NO_SUCH_NODE = {"dpmpp_2s_ancestral", "dpmpp_2s_ancestral_cfg_pp"}
#: (name, kind) -> smallest and largest relative difference by default (form "auto"), and why.
DIFFERENT = {
    ("gradient_estimation_cfg_pp", "flow"): (0.02, 1.0, "the host takes a flow model for VE"),
    ("dpmpp_2m_cfg_pp", "flow"): (0.02, 1.0, "the host takes a flow model for VE"),
    ("gradient_estimation", "flow"): (0.0, 0.2, "the published step in VE coordinates, the host's in the flow's own"),
    ("dpmpp_2m", "flow"): (0.0, 0.1, "the ratio of steps is limited here"),
    ("res_multistep", "flow"): (0.0, 0.1, "the ratio of steps is limited here"),
    ("res_multistep_cfg_pp", "edm"): (0.02, 1.0, "the host leaves (1 - e^-h)(D - u) out after its first step"),
    ("res_multistep_cfg_pp", "flow"): (0.02, 1.0, "the same, and it takes a flow model for VE"),
    ("euler_ancestral", "flow"): (0.005, 0.5, "the host divides a flow's step in another way"),
    ("er_sde", "edm"): (0.0, 0.1, "the host's integral is a sum of 200 terms"),
    ("er_sde", "flow"): (0.0, 0.1, "the same, and it moves the first level off pure noise"),
}


def node_id(family):
    return "SamplerLab" + "".join(part.capitalize() for part in family.split("_"))


def our_node(g, each, **values):
    if each.family == "res_multistep":  # the ancestral node without noise is its node, too
        return g.add("SamplerLabResMultistepAncestral", cfg_pp=each.cfg_pp, eta=0.0, s_noise=1.0, **values)
    defaults = {option.name: option.default for other in CATALOGUE if other.family == each.family
                for option in other.options}  # fmt: skip
    return g.add(node_id(each.family), cfg_pp=each.cfg_pp, **{**defaults, **values})


@pytest.fixture(scope="module")
def host_names(object_info):
    """The names of the host's own samplers; er_sde_cfg_pp, for one, is none of them."""
    return object_info["KSampler"]["input"]["required"]["sampler_name"][0]


@pytest.fixture(scope="module")
def found(server, host_names):
    """The latents by kind and then by (name, "host" | "comfyui" | "auto")."""
    results = {}
    for kind in KINDS:
        g = EmojiGraph(kind, seed=21)
        sigmas = g.add("BasicScheduler", model=g.model, scheduler="simple", steps=STEPS, denoise=1.0)
        guider = g.guider(1.0)
        for each in CATALOGUE:
            if each.name not in host_names or each.name in NO_SUCH_NODE:
                continue
            native, ours = g.sampler(each.name), g.sampler(each.dropdown_name)
            if each.name in NOISELESS:
                node, options = NOISELESS[each.name]
                native = g.add(node, **options)
                ours = our_node(g, each, **{k: v for k, v in options.items() if k in ("eta", "s_noise")})
            g.save(f"{each.name} host", g.custom(native, sigmas, guider))
            g.save(f"{each.name} auto", g.custom(ours, sigmas, guider))
            if each.name in WITH_FORM:
                g.save(f"{each.name} comfyui", g.custom(our_node(g, each, form="comfyui"), sigmas, guider))
        results[kind] = g.run(Client(server.url))
    return results


def difference(found, kind, name):
    host = found[kind][f"{name} host"]
    return ((found[kind][f"{name} auto"] - host).norm() / host.norm()).item()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", sorted(WITH_FORM))
def test_form_comfyui_gives_the_hosts_own_bits(found, kind, name):
    """Noise included, and without the node's other options: they are the host's."""
    assert torch.equal(found[kind][f"{name} comfyui"], found[kind][f"{name} host"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("each", CATALOGUE, ids=lambda e: e.name)
def test_by_default_it_is_the_hosts_or_differs_as_said(found, host_names, kind, each, record_property):
    name = each.name
    if name not in host_names or name in NO_SUCH_NODE or (each.stochastic and name not in NOISELESS):
        assert name not in host_names or name in NO_SUCH_NODE | WITH_FORM  # elsewhere, or above with the host's noise
        return
    low, high, _ = DIFFERENT.get((name, kind), (0.0, 1e-4, "the same"))
    off = difference(found, kind, name)
    record_property("relative difference", off)
    assert low <= off <= high


def test_an_old_graph_without_the_form_runs(client):
    """``form`` came to this node after it was published."""
    g = EmojiGraph("edm", seed=22)
    sigmas = g.add("BasicScheduler", model=g.model, scheduler="karras", steps=2, denoise=1.0)
    old = g.add("SamplerLabResMultistepAncestral", cfg_pp=True, eta=1.0, s_noise=1.0)
    g.save("old", g.custom(old, sigmas, g.guider(1.0)))
    g.save("named", g.custom(g.sampler("lab_res_multistep_ancestral_cfg_pp"), sigmas, g.guider(1.0)))
    results = g.run(client)
    assert torch.equal(results["old"], results["named"])
