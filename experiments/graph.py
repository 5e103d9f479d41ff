"""The graph of one run: a workflow as the queue takes it, with a picture and the options of an experiment put in.

Nodes are found by their types, so any workflow will do that has one LatentDAPS or Phase Retrieval Sampler, one Measure
(whose image is the one that is replaced) and one Compare To Reference. An experiment says which one it runs.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..labkit.errors import LabError
from ..labkit.outcome import Prompt
from ..labkit.workflow import to_api
from .catalogue import BASELINE
from .options import PREFIX, Value, checked, node_type_of
from .pictures import Picture

__all__ = ["Template", "load_template", "prompt_of", "read_workflow"]

#: What the picture says in place of the workflow, unless an experiment sets it.
CLASS_NAME = "EmojiPrompt.class_name"
#: Of a workflow one, whose run is recorded.
SAMPLERS = ("SamplerLabLatentDAPS", "SamplerLabPhaseRetrievalSampler")


@dataclass(frozen=True)
class Template:
    """graph: the workflow as the queue takes it. object_info: what the host that runs it says of its nodes."""

    graph: Prompt
    object_info: dict[str, Any]


def load_template(path: Path, object_info: dict[str, Any]) -> Template:
    """A workflow file, as the editor saves or exports it."""
    graph = read_workflow(path)
    return Template(to_api(graph, object_info) if "nodes" in graph else graph, object_info)


def read_workflow(path: Path) -> dict[str, Any]:
    """The JSON object in a file; raises ``LabError`` when there is none."""
    try:
        graph = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LabError(f"The workflow {path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise LabError(f"The workflow {path} is not JSON: {error}.") from error
    if not isinstance(graph, dict):
        raise LabError(f"The workflow {path} is not a graph: save it from the editor (Workflow, Save or Export).")
    return graph


def prompt_of(
    template: Template,
    picture: Picture,
    options: Mapping[str, Any],
    prefix: str,
    number: int = 0,
    uploaded: str | None = None,
) -> Prompt:
    """The graph of one picture.

    Args:
        template: the workflow.
        picture: what is measured.
        options: what the experiment sets, by dotted names; one value each, no grid.
        prefix: of everything that the host writes for it.
        number: of the picture in its set; added to the seed of the measurement's noise, so that each has its own.
        uploaded: what LoadImage calls a picture that is a file.

    Raises:
        ValueError: a graph that lacks a node, or has two where one must be chosen; an option that is none, or a value
            that it does not allow.
    """
    prompt = copy.deepcopy(template.graph)
    measure, compare = (_only(prompt, name) for name in ("SamplerLabMeasure", "SamplerLabCompareToReference"))
    sampler = _only(prompt, *SAMPLERS)
    prompt[_source(prompt, measure)] = _picture_node(picture, uploaded)
    if CLASS_NAME not in options:
        _tell_class(prompt, picture.label)
    for name, value in options.items():
        _set(prompt, name, checked(name, value, template.object_info), template.object_info)
    prompt[measure]["inputs"]["seed"] = prompt[measure]["inputs"].get("seed", 0) + number
    prompt[sampler]["inputs"]["metrics_prefix"] = f"{prefix}/run"
    prompt[compare]["inputs"]["filename_prefix"] = f"{prefix}/quality"
    for place, key in enumerate(sorted(_all(prompt, "SaveImage"), key=int)):
        prompt[key]["inputs"]["filename_prefix"] = f"{prefix}/{('particles', 'blind')[place] if place < 2 else place}"
    return prompt


def _picture_node(picture: Picture, uploaded: str | None) -> dict[str, Any]:
    if picture.emoji is not None:
        return {"class_type": "SamplerLabEmojiPicture", "inputs": {"name": picture.emoji}}
    return {"class_type": "LoadImage", "inputs": {"image": uploaded}}


def _tell_class(prompt: Prompt, label: str) -> None:
    """In every Emoji Prompt, except one that says "none": that is a negative one, and stays."""
    for key in _all(prompt, "SamplerLabEmojiPrompt"):
        if prompt[key]["inputs"].get("class_name") != "none":
            prompt[key]["inputs"]["class_name"] = label


def _set(prompt: Prompt, name: str, value: Value, object_info: dict[str, Any]) -> None:
    """Set an input of every node of a type; a part that the workflow lacks is added where it belongs."""
    node_type, inner = node_type_of(name, object_info), name.partition(".")[2]
    keys = _all(prompt, node_type)
    is_usual = BASELINE.get(name) == value
    if not keys and not is_usual:
        keys = _added(prompt, node_type, object_info)
    free = [key for key in keys if not isinstance(prompt[key]["inputs"].get(inner), list)]
    for key in free:
        prompt[key]["inputs"][inner] = value
    if free or is_usual:
        return  # the baseline says what most workflows have; one that has it otherwise keeps what it has
    if keys:
        raise ValueError(f"{name} is connected to another node in the workflow; disconnect it there, or do not set it.")
    raise ValueError(f"{name}: the workflow has no {node_type} and no open input for one; add the node there.")


def _added(prompt: Prompt, node_type: str, object_info: dict[str, Any]) -> list[str]:
    """A new node of this type, connected to an open input of ours of its output's type; none where there is no such.

    That is how a part (pruning, for one) comes into a workflow that was saved without it.
    """
    output = next(iter(object_info[node_type].get("output") or []), None)
    for node in prompt.values():
        if not node["class_type"].startswith(PREFIX):
            continue
        optional = object_info.get(node["class_type"], {}).get("input", {}).get("optional") or {}
        for inner, spec in optional.items():
            if spec[0] == output and inner not in node["inputs"]:
                key = str(max(int(each) for each in prompt) + 1)
                prompt[key] = {"class_type": node_type, "inputs": _defaults(object_info[node_type])}
                node["inputs"][inner] = [key, 0]
                return [key]
    return []


def _defaults(info: dict[str, Any]) -> dict[str, Any]:
    """Values of the inputs that a graph must have; the host knows the others' by itself."""
    found = {}
    for name, spec in (info["input"].get("required") or {}).items():
        limits = spec[1] if len(spec) > 1 else {}
        if "default" in limits:
            found[name] = limits["default"]
    return found


def _source(prompt: Prompt, measure: str) -> str:
    """The node that the measured image comes from: up the ``image`` inputs from Measure to one that has none."""
    key = measure
    while isinstance(link := prompt[key]["inputs"].get("image"), list):
        key = link[0]
    if key == measure:
        raise ValueError("the workflow's Measure node has no image connected; connect the picture that is measured.")
    return key


def _all(prompt: Prompt, node_type: str) -> list[str]:
    return [key for key, node in prompt.items() if node["class_type"] == node_type]


def _only(prompt: Prompt, *node_types: str) -> str:
    found = [key for node_type in node_types for key in _all(prompt, node_type)]
    if len(found) != 1:
        kinds = " or ".join(node_types)
        raise ValueError(f"the workflow has {len(found)} nodes of type {kinds}; an experiment needs exactly one.")
    return found[0]
