"""Three hundred wrong prompts against the running server: each is refused or is one sentence, and the server lives."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import pytest
from prompt_mutations import mutations
from sampler_lab.labkit.errors import LabError
from sampler_lab.labkit.outcome import PromptRefused
from sampler_lab.labkit.workflow import to_api

pytestmark = pytest.mark.host

TEMPLATES = sorted((Path(__file__).resolve().parents[2] / "example_workflows").glob("*.json"))
SHORT = {
    ("SamplerLabAnnealingScheduler", "steps"): 2,
    ("SamplerLabParticles", "particles"): 2,
    ("SamplerLabLatentDAPS", "mcmc_steps"): 1,
    ("SamplerLabHardConsistency", "iterations"): 1,
    ("BasicScheduler", "steps"): 2,
    ("KSampler", "steps"): 2,
    ("EmptyLatentImage", "batch_size"): 1,
}
COUNT, SEED = 320, 8
#: A mutation may leave a prompt valid and slow: after so many seconds it is cancelled, and counts as one that ran.
SECONDS = 20


def short(prompt: dict) -> dict:
    for node in prompt.values():
        for (kind, name), value in SHORT.items():
            if name == "mcmc_steps" and "data_step" in node["inputs"]:
                continue  # the connected node has that number
            if node["class_type"] == kind and name in node["inputs"] and not isinstance(node["inputs"][name], list):
                node["inputs"][name] = value
        if node["class_type"].startswith("SamplerLab") and "steps" in node["inputs"]:
            node["inputs"]["steps"] = 2
    return prompt


def outcome(client, prompt: dict) -> tuple[str, str]:
    """How it ended (one of "refused", "host", "node", "ran"), and what was said."""
    try:
        prompt_id = client.queue(prompt)
    except PromptRefused as refused:
        return "refused", str(refused)
    except LabError as error:  # the host's own validation raised: HTTP 500
        return "host", str(error)
    ends = time.monotonic() + SECONDS
    while (entry := client.history(prompt_id)) is None:
        if time.monotonic() > ends:
            client.cancel(prompt_id)
        time.sleep(0.02)
    messages = dict(entry["status"]["messages"])
    if "execution_error" not in messages:
        return "ran", ""
    return "node", sentence_fault(messages["execution_error"])


def sentence_fault(error: dict) -> str:
    """What is wrong with a node's error; nothing when it is one sentence, raised on purpose, or none of ours."""
    said, frames = error["exception_message"].strip(), error["traceback"]
    if not any("sampler_lab" in frame for frame in frames):
        return ""  # raised by a node of the host about what it was given
    on_purpose = "sampler_lab" in frames[-1] and "raise " in frames[-1]
    one_sentence = "\n" not in said and said.endswith(".") and len(said) < 600
    if on_purpose and one_sentence and error["exception_type"] == "ValueError":
        return ""
    return f"{error['node_type']}: {error['exception_type']}: {said[:200]} at {frames[-1].strip()[-200:]}"


def test_every_wrong_prompt_is_refused_or_one_sentence_and_the_server_lives(client, object_info, record_property):
    prompts = {path.stem: short(to_api(json.loads(path.read_text("utf-8")), object_info)) for path in TEMPLATES}
    ended, faults = Counter(), []
    for what, prompt in mutations(prompts, object_info, SEED, COUNT):
        how, said = outcome(client, prompt)
        ended[how] += 1
        if how == "node" and said:
            faults.append(f"{what}: {said}")
    record_property("outcomes", dict(ended))
    assert faults == []
    assert client.system_stats()
    assert sum(ended.values()) == COUNT
    assert ended["refused"] > COUNT / 4
    assert ended["node"] > 0
