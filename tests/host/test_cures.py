"""Sentences that name a cure: the cure is applied, and it works."""

from __future__ import annotations

import re

import pytest
import torch
from host_graphs import EmojiGraph
from sampler_lab.labkit.outcome import RunFailed
from sampler_lab.operators import PhaseRetrieval, ReadOptions
from sampler_lab.operators.files import load_measurement, save_measurement

pytestmark = pytest.mark.host


def graph(width: int, height: int) -> EmojiGraph:
    """Particles for a picture of this size, sampled two steps by the Likelihood Guider."""
    g = EmojiGraph(seed=width + height)
    picture = g.add("EmptyImage", width=width, height=height, batch_size=1, color=0x3366CC)
    operator = g.add(
        "SamplerLabPhaseRetrieval",
        preset="custom",
        oversample=2.0,
        noise_sigma=0.05,
        signal_range="0..1",
        clip_negative=True,
        kind="amplitude",
    )
    measurement = g.add("SamplerLabMeasure", operator=operator, image=picture, seed=1)
    particles = g.add("SamplerLabParticles", measurement=measurement, vae=g.vae, particles=1)
    guider = g.add(
        "SamplerLabLikelihoodGuider",
        guider=g.guider(1.0),
        measurement=measurement,
        vae=g.vae,
        weight=1.0,
        form="matched",
    )
    sigmas = g.add("BasicScheduler", model=g.model, scheduler="simple", steps=2, denoise=1.0)
    g.save("out", g.custom(g.sampler("euler"), sigmas, guider, latent=particles))
    return g


@pytest.mark.parametrize(
    ("width", "height", "fitting"), [(100, 100, (112, 112)), (63, 65, (64, 80)), (8, 64, (16, 64))]
)
def test_a_picture_of_a_size_that_the_model_cannot_make(client, width, height, fitting):
    with pytest.raises(RunFailed) as failed:
        graph(width, height).run(client, timeout=120)
    said = str(failed.value)
    assert f"the measured image is {width}×{height}" in said
    cure = tuple(map(int, re.search(r"resize or pad the picture to (\d+)×(\d+)", said).groups()))
    assert cure == fitting
    latent = graph(*cure).run(client, timeout=300)["out"]
    assert tuple(latent.shape[-2:]) == (cure[1] // 4, cure[0] // 4)


def test_an_empty_latent_of_such_a_size(client):
    def sampled(width, height):
        g = EmojiGraph(seed=9)
        latent = g.add("EmptyLatentImage", width=width, height=height, batch_size=1)
        g.save("out", g.ksampler("euler", "simple", 1, latent=latent))
        return g.run(client, timeout=120)["out"]

    with pytest.raises(
        RunFailed, match=r"multiples of 16, not 72 x 104: resize the picture to a multiple of 16"
    ) as failed:
        sampled(104, 72)
    height, width = map(int, re.search(r"for example to (\d+) x (\d+)", str(failed.value)).groups())
    assert sampled(width, height).isfinite().all()


def test_a_measurement_from_a_file_is_read_at_the_size_that_is_named(tmp_path):
    operator = PhaseRetrieval(oversample=2.0)
    save_measurement(operator.measure(torch.zeros(1, 3, 65, 63), seed=1), tmp_path / "odd.npz")
    assert load_measurement(tmp_path / "odd.npz").image_shape == (65, 63)
    padded = load_measurement(tmp_path / "odd.npz", None, ReadOptions(image_shape=(80, 64)))
    assert padded.image_shape == (80, 64)
    assert padded.residual(torch.zeros(1, 3, 80, 64)).isfinite()
