"""KSampler and KSampler (Advanced), rebuilt from parts: the same bits for every scheduler, denoise, start and end."""

from __future__ import annotations

import pytest
import torch
from host_graphs import EmojiGraph
from sampler_lab.labkit.client import Client

pytestmark = pytest.mark.host

STEPS = 5
#: KSampler's denoise.
DENOISE = (1.0, 0.55)
#: KSampler (Advanced)'s start_at_step, end_at_step, return_with_leftover_noise.
SLICES = ((0, 10_000, "disable"), (2, 10_000, "disable"), (0, 3, "enable"), (1, 4, "disable"), (4, 2, "disable"))


def schedulers(object_info):
    kind, *options = object_info["KSampler"]["input"]["required"]["scheduler"]
    return options[0]["options"] if kind == "COMBO" else kind


def pairs(g, sampler, scheduler):
    """Names of the cases, each saved twice: by the stock node and by the parts."""
    selected = g.sampler(sampler)

    def parts(**settings):
        sigmas = g.add(
            "SamplerLabKSamplerSigmas",
            model=g.model,
            scheduler=scheduler,
            steps=STEPS,
            sampler=selected,
            **{"denoise": 1.0, "start_at_step": 0, "end_at_step": 10_000, "force_full_denoise": True, **settings},
        )
        return g.custom(selected, sigmas, g.guider())

    for denoise in DENOISE:
        name = f"{sampler} {scheduler} denoise {denoise}"
        g.save(f"{name} stock", g.ksampler(sampler, scheduler, STEPS, denoise=denoise))
        g.save(f"{name} parts", parts(denoise=denoise))
        yield name
    for start, end, leftover in SLICES:
        name = f"{sampler} {scheduler} {start} to {end}, {leftover}"
        settings = {"start_at_step": start, "end_at_step": end}
        stock = g.ksampler_advanced(sampler, scheduler, STEPS, return_with_leftover_noise=leftover, **settings)
        g.save(f"{name} stock", stock)
        g.save(f"{name} parts", parts(force_full_denoise=leftover == "disable", **settings))
        yield name


@pytest.mark.parametrize("kind", ["edm", "flow"])
def test_the_parts_make_the_same_bits(server, object_info, kind):
    g = EmojiGraph(kind, seed=21)
    names = [name for scheduler in schedulers(object_info) for name in pairs(g, "euler", scheduler)]
    # These leave out the last level above 0.
    names += [name for sampler in ("dpm_2", "uni_pc") for name in pairs(g, sampler, "karras")]
    found = g.run(Client(server.url))
    assert len(names) >= 7 * 10
    assert [name for name in names if not torch.equal(found[f"{name} stock"], found[f"{name} parts"])] == []
