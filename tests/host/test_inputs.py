"""Every input of every node: what must not be there is one sentence that names it, before any work."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from host_graphs import EmojiGraph
from inside_host import found_by
from sampler_lab.labkit.outcome import RunFailed

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def said(comfyui: Path) -> dict:
    """Node -> input -> what was put there -> the sentence."""
    return found_by("inputs_probe.py", comfyui)


def test_every_wrong_input_is_named_in_one_sentence(said):
    silent = [
        f"{node}.{name} given {how}: {sentence!r}"
        for node, inputs in said.items()
        for name, wrong in inputs.items()
        for how, sentence in wrong.items()
        if not (sentence.startswith(f"{name} is ") and sentence.endswith((".", "...")) and "\n" not in sentence)
    ]
    assert silent == []
    assert sum(len(wrong) for inputs in said.values() for wrong in inputs.values()) > 300


def test_the_sentence_says_what_is_allowed(said):
    daps = said["SamplerLabLatentDAPS"]
    assert daps["measurement_weight"]["NaN"] == "measurement_weight is NaN; it must be a number between 0 and 1000."
    assert daps["mcmc_steps"]["below"].endswith("it must be a whole number between 0 and 10000.")
    assert said["SamplerLabPruning"]["mode"]["no choice"].endswith("choose one of diverse, residual, resample.")


@pytest.mark.parametrize("how", ["written", "linked"])
def test_nan_is_refused_in_the_running_server(client, how):
    g = EmojiGraph(seed=71)
    nan = math.nan if how == "written" else g.add("PrimitiveFloat", value=math.nan)
    guider = g.add(
        "SamplerLabNormGuider", guider=g.guider(), rescale=nan, clamp=0.0, start_percent=0.0, end_percent=1.0
    )
    sigmas = g.add("BasicScheduler", model=g.model, scheduler="simple", steps=1, denoise=1.0)
    g.save("out", g.custom(g.sampler("euler"), sigmas, guider))
    with pytest.raises(RunFailed, match="rescale is NaN; it must be a number between 0 and 1"):
        g.run(client, timeout=120)
