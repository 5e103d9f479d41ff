"""The host's Model Noise Scale in the running host: our stochastic samplers add as much noise as its own do."""

from __future__ import annotations

import pytest
from host_graphs import EmojiGraph
from sampler_lab.labkit.client import Client
from sampler_lab.samplers import CATALOGUE

pytestmark = pytest.mark.host

NODE = "ModelNoiseScale"
SCALE = 8.0
#: What ours must be as noisy as where the host's CFG++ form is missing, or takes a flow model for VE.
WITHOUT_CFG_PP = {"er_sde_cfg_pp": "er_sde", "dpmpp_2s_ancestral_cfg_pp": "dpmpp_2s_ancestral"}
STOCHASTIC = [each.name for each in CATALOGUE if each.stochastic]


@pytest.fixture(scope="module")
def spread(server, object_info):
    """The standard deviation half-way down, of ours and of the host's own, by name; one image of noise scale 8."""
    if NODE not in object_info:
        pytest.skip("this ComfyUI has no Model Noise Scale")
    g = EmojiGraph("flow", seed=31, count=4)
    g.model = g.add(NODE, model=g.model, noise_scale=SCALE)
    sigmas = g.add("BasicScheduler", model=g.model, scheduler="simple", steps=12, denoise=1.0)
    noisy = g.add("SplitSigmas", sigmas=sigmas, step=6)
    for name in STOCHASTIC:
        native = WITHOUT_CFG_PP.get(name, name)
        g.save(f"{name} host", g.custom(g.sampler(native), noisy, g.guider(1.0)))
        g.save(f"{name} ours", g.custom(g.sampler(f"lab_{name}"), noisy, g.guider(1.0)))
    return {name: latent.std().item() for name, latent in g.run(Client(server.url)).items()}


@pytest.mark.parametrize("name", STOCHASTIC)
def test_the_noise_is_as_strong_as_the_hosts(spread, name):
    assert spread[f"{name} ours"] == pytest.approx(spread[f"{name} host"], rel=0.15)


def test_latent_daps_noises_again_as_strongly_as_the_host_starts(client, object_info):
    """Its last level is above 0: what is left beside the picture has the deviation of the model's noise."""
    if NODE not in object_info:
        pytest.skip("this ComfyUI has no Model Noise Scale")

    def with_defaults(g, node, **given):
        inputs = object_info[node]["input"]["required"]
        defaults = {name: spec[1]["default"] for name, spec in inputs.items() if "default" in (spec[1:] or [{}])[0]}
        return g.add(node, **{**defaults, **given})

    found = {}
    for scale in (1.0, SCALE):
        g = EmojiGraph("flow", seed=32, count=4)
        g.model = g.add(NODE, model=g.model, noise_scale=scale)
        sigmas = g.add("ManualSigmas", sigmas="0.9, 0.7, 0.5")
        picture = g.add("SamplerLabEmojiPicture", name="donkey")
        operator = with_defaults(g, "SamplerLabPhaseRetrieval")
        measured = with_defaults(g, "SamplerLabMeasure", image=picture, operator=operator)
        sampler = with_defaults(
            g, "SamplerLabLatentDAPS", measurement=measured, vae=g.vae, preset="emoji_langevin", measurement_weight=0.0
        )
        g.save("latent", g.custom(sampler, sigmas, g.guider(1.0)))
        found[scale] = g.run(client)["latent"].std().item()
    # At 0.5 the host divides by 1 - 0.5: the noise has the deviation of the scale, beside a picture of 0.5 to 1.4.
    assert 4.7 < found[SCALE] / found[1.0] < 7.3
