"""The prompt of one run: a workflow as an API graph, with the options of an experiment put in.

Nodes are found by their types, so any workflow will do that has one LatentDAPS Sampler, one Measure (whose image is the
one that is replaced) and one Compare To Reference; the template "01 Phase retrieval" is the usual one.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .settings import OFF, Options

__all__ = ["Picture", "prompt_of"]

#: A graph as the queue takes it.
Prompt = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Picture:
    """An image of an experiment.

    name: of its folder among the results. emoji: the name of a held-out glyph; or path: of a file.
    label: the class that the Emoji Prompt tells, "none" when nothing is known.
    number: its place in its whole set, which decides its noise; None where the list that is run is the set.
    """

    name: str
    emoji: str | None = None
    path: Path | None = None
    label: str = "none"
    number: int | None = None


def prompt_of(
    template: Prompt, picture: Picture, options: Options, prefix: str, number: int = 0, uploaded: str | None = None
) -> Prompt:
    """The graph of one picture.

    Args:
        template: an API graph.
        picture: what is measured.
        options: what the experiment changes.
        prefix: of everything that the host writes for it.
        number: of the picture in its set; added to the seed of the measurement's noise, so that each has its own.
        uploaded: what LoadImage calls a picture that is a file.

    Raises:
        ValueError: a graph that lacks a node, or has two where one must be chosen.
    """
    prompt = copy.deepcopy(template)
    measure, sampler, compare = (
        _only(prompt, name) for name in ("SamplerLabMeasure", "SamplerLabLatentDAPS", "SamplerLabCompareToReference")
    )
    source = _source(prompt, measure)
    if picture.emoji is not None:
        prompt[source] = {"class_type": "SamplerLabEmojiPicture", "inputs": {"name": picture.emoji}}
    else:
        prompt[source] = {"class_type": "LoadImage", "inputs": {"image": uploaded}}
    prompt[measure]["inputs"]["seed"] = options.seed + number
    _set(prompt, "SamplerLabEmojiPrompt", class_name=picture.label, only_values=("none",))
    _set(prompt, "RandomNoise", noise_seed=options.seed)
    _set(prompt, "SamplerLabParticles", particles=options.num_samples)
    _set(prompt, "SamplerLabAnnealingScheduler", steps=options.steps)
    prompt[sampler]["inputs"] |= {"preset": options.preset, "metrics_prefix": f"{prefix}/run"}
    prompt[compare]["inputs"]["filename_prefix"] = f"{prefix}/quality"
    for place, key in enumerate(sorted(_all(prompt, "SaveImage"), key=int)):
        prompt[key]["inputs"]["filename_prefix"] = f"{prefix}/{('particles', 'blind')[place] if place < 2 else place}"
    for name, node_type, inputs in _parts(options):
        key = str(max(int(key) for key in prompt) + 1)
        prompt[key] = {"class_type": node_type, "inputs": inputs}
        prompt[sampler]["inputs"][name] = [key, 0]
    return prompt


def _parts(options: Options) -> list[tuple[str, str, dict[str, Any]]]:
    """Input of the LatentDAPS Sampler, node type and inputs of every part that is on."""
    parts: list[tuple[str, str, dict[str, Any]]] = []
    if options.repulsion_scale > 0:
        inputs = {
            "mode": options.repulsion_mode,
            "rho": options.repulsion_scale if options.repulsion_mode == "normalised" else 0.0,
            "scale": options.repulsion_scale if options.repulsion_mode == "raw" else 0.0,
            "sigma_break": options.repulsion_sigma_break,
            "feature_space": options.repulsion_feature_space,
            "schedule": options.repulsion_schedule,
            "dino_model": options.repulsion_dino_model,
        }
        parts.append(("repulsion", "SamplerLabRepulsion", inputs))
    if options.pruning_step != OFF:
        inputs = {
            "keep": options.pruning_keep,
            "progress": options.progress(options.pruning_step),
            "mode": options.pruning_mode,
        }
        parts.append(("pruning", "SamplerLabPruning", inputs))
    if options.optimization_step != OFF:
        inputs = {
            "iterations": options.optimization_iterations,
            "learning_rate": options.optimization_learning_rate,
            "start": options.progress(options.optimization_step),
            "gate_sigma": options.optimization_gate_sigma,
        }
        parts.append(("hard_consistency", "SamplerLabHardConsistency", inputs))
    return parts


def _source(prompt: Prompt, measure: str) -> str:
    """The node that the measured image comes from: up the ``image`` inputs from Measure to one that has none."""
    key = measure
    while isinstance(link := prompt[key]["inputs"].get("image"), list):
        key = link[0]
    if key == measure:
        raise ValueError("the workflow's Measure node has no image connected; connect the picture that is measured.")
    return key


def _set(prompt: Prompt, node_type: str, only_values: tuple[str, ...] = (), **inputs: Any) -> None:
    """Set inputs of every node of a type that are values and no links; ``only_values`` are left as they are.

    An Emoji Prompt that says "none" is a negative one and stays.
    """
    for key in _all(prompt, node_type):
        for name, value in inputs.items():
            present = prompt[key]["inputs"].get(name)
            if not isinstance(present, list) and present not in only_values:
                prompt[key]["inputs"][name] = value


def _all(prompt: Prompt, node_type: str) -> list[str]:
    return [key for key, node in prompt.items() if node["class_type"] == node_type]


def _only(prompt: Prompt, node_type: str) -> str:
    found = _all(prompt, node_type)
    if len(found) != 1:
        raise ValueError(f"the workflow has {len(found)} nodes of type {node_type}; an experiment needs exactly one.")
    return found[0]
