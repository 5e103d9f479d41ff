"""The catalogue in the running host: every dropdown name, both samplers of the host, masks, a missing negative."""

from __future__ import annotations

import logging
import threading

import pytest
import torch
from host_graphs import EmojiGraph
from sampler_lab.labkit.outcome import RunInterrupted
from sampler_lab.samplers import CATALOGUE

pytestmark = pytest.mark.host

BOTH = pytest.mark.parametrize("kind", ["edm", "flow"])
STEPS = 3
FAMILIES = tuple(
    dict.fromkeys(each.family for each in CATALOGUE if {option.name for option in each.options} - {"form"})
)
#: What an option needs beside it to have an effect.
BESIDE = {("er_sde", "eta"): {"solver_type": "reverse_sde"}}


def node_id(family):
    return "SamplerLab" + "".join(part.capitalize() for part in family.split("_"))


def changed(option):
    """Another value than the default."""
    if option.choices:
        return next(choice for choice in option.choices if choice != option.default)
    return 1 if isinstance(option.default, int) else 0.5


def test_the_dropdowns_offer_the_catalogue_once_and_no_sampler_that_needs_a_measurement(object_info):
    names = object_info["KSampler"]["input"]["required"]["sampler_name"][0]
    assert [name for name in names if name.startswith("lab_")] == [each.dropdown_name for each in CATALOGUE]
    assert object_info["KSamplerSelect"]["input"]["required"]["sampler_name"][1]["options"] == names
    assert object_info["KSamplerAdvanced"]["input"]["required"]["sampler_name"][0] == names
    assert object_info["SamplerLabSamplerSelect"]["input"]["required"]["sampler_name"][1]["options"] == [
        each.name for each in CATALOGUE
    ]


@pytest.fixture(scope="module")
def every(server):
    """Every name × {KSampler, SamplerCustomAdvanced} × {mask} × {negative}, by ``(name, case)``, and what was logged.

    One prompt a model.
    """
    from sampler_lab.labkit.client import Client

    before = len(server.log.read_bytes())
    found = {}
    for kind in ("edm", "flow"):
        g = EmojiGraph(kind)
        sigmas = g.add("BasicScheduler", model=g.model, scheduler="karras", steps=STEPS, denoise=1.0)
        masked, cfg, basic = g.masked(), g.guider(), g.basic_guider()
        g.save("given", g.latent)
        for each in CATALOGUE:
            selected = g.sampler(each.dropdown_name)
            ours = g.add("SamplerLabSamplerSelect", sampler_name=each.name)
            name = each.dropdown_name
            cases = {
                "KSampler": g.ksampler(name, "karras", STEPS),
                "KSampler masked": g.ksampler(name, "karras", STEPS, latent=masked),
                "KSampler cfg 1": g.ksampler(name, "karras", STEPS, cfg=1.0),
                "custom": g.custom(selected, sigmas, cfg),
                "custom masked": g.custom(ours, sigmas, cfg, latent=masked),
                "custom basic": g.custom(ours, sigmas, basic),
                "custom basic masked": g.custom(selected, sigmas, basic, latent=masked),
            }
            for case, latent in cases.items():
                g.save(f"{each.name} {case}", latent)
        found[kind] = g.run(Client(server.url))
    found["log"] = server.log.read_bytes()[before:].decode("utf-8", errors="replace")
    return found


@BOTH
def test_every_result_is_a_picture(every, kind):
    """Finite, and spread like the latents of the prior, neither collapsed nor blown up."""
    results = {name: latent for name, latent in every[kind].items() if name != "given"}
    assert len(results) == 7 * len(CATALOGUE)
    wrong = {name: latent.std().item() for name, latent in results.items() if not 0.2 < latent.std().item() < 4}
    assert wrong == {}


@BOTH
@pytest.mark.parametrize("mask", ["", " masked"], ids=["whole", "masked"])
def test_both_samplers_of_the_host_give_the_same_bits(every, kind, mask):
    pairs = [(f"{each.name} KSampler{mask}", f"{each.name} custom{mask}") for each in CATALOGUE]
    assert [a for a, b in pairs if not torch.equal(every[kind][a], every[kind][b])] == []


@BOTH
@pytest.mark.parametrize("case", ["KSampler masked", "custom masked", "custom basic masked"])
def test_a_mask_keeps_the_picture_outside_and_paints_inside(every, kind, case):
    given = every[kind]["given"]
    for each in CATALOGUE:
        difference = (every[kind][f"{each.name} {case}"] - given).abs()
        assert difference[..., :8].max() < 1e-4, each.name
        assert difference[..., 8:].mean() > 0.1, each.name


@BOTH
@pytest.mark.parametrize("case", ["custom basic", "custom basic masked"])
def test_without_a_negative_cfg_pp_is_the_plain_sampler(every, kind, case):
    for each in CATALOGUE:
        if each.cfg_pp and f"{each.family} {case}" in every[kind]:
            plain = every[kind][f"{each.family} {case}"]
            assert torch.equal(every[kind][f"{each.name} {case}"], plain), each.name


def test_the_missing_negative_is_said_once_a_run(every):
    """Two cases of BasicGuider a CFG++ sampler and model, and nothing else, lack a negative."""
    runs = 2 * 2 * sum(each.cfg_pp for each in CATALOGUE)
    assert every["log"].count("CFG++ needs negative conditioning and got none") == runs
    if logging.getLevelName(logging.INFO) in every["log"]:  # older hosts print no levels
        assert logging.getLevelName(logging.WARNING) in every["log"]


@BOTH
def test_cfg_1_is_no_guidance_for_plain_samplers_and_still_cfg_pp_for_the_others(every, kind):
    for each in CATALOGUE:
        cfg_1, basic = (every[kind][f"{each.name} {case}"] for case in ("KSampler cfg 1", "custom basic"))
        assert torch.equal(cfg_1, basic) is not each.cfg_pp, each.name


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_node_is_its_samplers_and_every_option_counts(client, family):
    """On the flow model, where even ``form`` makes a difference."""
    g = EmojiGraph("flow")
    sigmas, guider = g.add("SamplerLabScheduler", model=g.model, schedule="angle", steps=4, denoise=1.0), g.guider(1.0)
    forms = {each.cfg_pp: each for each in CATALOGUE if each.family == family}
    options = {option.name: option for each in forms.values() for option in each.options}
    defaults = {name: option.default for name, option in options.items()}

    def node(cfg_pp=True, **values):
        switch = {"cfg_pp": cfg_pp} if len(forms) == 2 else {}
        return g.custom(g.add(node_id(family), **switch, **{**defaults, **values}), sigmas, guider)

    for on, each in forms.items():
        g.save(f"named {on}", g.custom(g.sampler(each.dropdown_name), sigmas, guider))
        g.save(f"node {on}", node(on))
    for name, option in options.items():
        beside = BESIDE.get((family, name), {})
        g.save(f"{name} default", node(**beside))
        g.save(f"{name} changed", node(**{**beside, name: changed(option)}))
    found = g.run(client)
    assert [on for on in forms if not torch.equal(found[f"node {on}"], found[f"named {on}"])] == []
    assert len(forms) == 1 or not torch.equal(found["node True"], found["node False"])
    assert [name for name in options if torch.equal(found[f"{name} default"], found[f"{name} changed"])] == []


@BOTH
@pytest.mark.parametrize("family", ["gradient_estimation", "dpmpp_2m"])
@pytest.mark.parametrize("cfg_pp", [False, True], ids=["plain", "cfg_pp"])
def test_form_core_still_repeats_the_hosts_own_sampler_bit_by_bit(client, kind, family, cfg_pp):
    g = EmojiGraph(kind)
    sigmas, guider = g.add("BasicScheduler", model=g.model, scheduler="simple", steps=6, denoise=1.0), g.guider(1.0)
    own = g.custom(g.sampler(family + "_cfg_pp" * cfg_pp), sigmas, guider)
    core = g.custom(g.add(node_id(family), cfg_pp=cfg_pp, **CORE[family]), sigmas, guider)
    g.save("own", own)
    g.save("core", core)
    found = g.run(client)
    assert torch.equal(found["own"], found["core"])


CORE = {
    "gradient_estimation": {"ge_gamma": 2.0, "form": "core"},
    "dpmpp_2m": {"solver_type": "midpoint", "higher_order_term": "guided", "form": "core"},
}


def test_flow_and_edm_agree_where_the_hosts_own_sampler_does_not(client):
    """One network, one noise, mapped levels: 2M CFG++ of this pack, and ComfyUI's."""
    found = {}
    for kind in ("edm", "flow"):
        g = EmojiGraph(kind)
        settings = {"steps": 12, "sigma_max": 60.0, "sigma_min": 0.02, "rho": 7.0}
        sigmas = g.add("SamplerLabAnnealingScheduler", **settings, model=g.model)
        empty = g.add("LatentMultiply", samples=g.latent, multiplier=0.0)
        for name in ("dpmpp_2m_cfg_pp", "lab_dpmpp_2m_cfg_pp"):
            g.save(name, g.custom(g.sampler(name), sigmas, g.guider(1.0), latent=empty))
        found[kind] = g.run(client)

    def distance(name):
        a, b = found["edm"][name], found["flow"][name]
        return ((a - b).norm() / a.norm()).item()

    assert distance("lab_dpmpp_2m_cfg_pp") < 1e-3
    assert distance("dpmpp_2m_cfg_pp") > 0.1


@pytest.mark.parametrize("name", ["lab_dpmpp_2m_cfg_pp", "lab_dpmpp_2s_ancestral_cfg_pp", "lab_er_sde"])
def test_progress_rises_step_by_step_to_the_end(client, name):
    g = EmojiGraph("flow", seed=11)
    latent = g.ksampler(name, "karras", 6)
    g.save("latent", latent)
    heard = []
    client.run(g.prompt, on_progress=heard.append, timeout=300)
    # The host leaves messages out when steps come quickly; that every step calls back once is tests/samplers's matter.
    steps = [(each.value, each.maximum) for each in heard if each.node_id == latent[0] and each.maximum]
    assert steps == sorted(steps)
    assert set(steps) <= {(k, 6) for k in range(7)}
    assert steps[-1] == (6, 6)


def test_cancel_in_the_middle_of_a_run(client):
    g = EmojiGraph("edm", seed=12)
    latent = g.ksampler("lab_dpmpp_2s_ancestral_cfg_pp", "karras", 10_000)
    g.save("latent", latent)
    begun = threading.Event()

    def listen(progress):
        if progress.node_id == latent[0] and progress.value > 2 and not begun.is_set():
            begun.set()
            client.interrupt()

    with pytest.raises(RunInterrupted):
        client.run(g.prompt, on_progress=listen, timeout=120)
    assert begun.is_set()
