"""Which of a prompt's pictures are a run's: those that its sampler leads to."""

from __future__ import annotations

from sampler_lab.host.prompts import pictures_of

GRAPH = {
    "daps": {"class_type": "SamplerLabLatentDAPS", "inputs": {"vae": ["model", 1], "tau": 0.0}},
    "sample": {"class_type": "SamplerCustomAdvanced", "inputs": {"sampler": ["daps", 0]}},
    "decode": {"class_type": "VAEDecode", "inputs": {"samples": ["sample", 0], "vae": ["model", 1]}},
    "save": {"class_type": "SaveImage", "inputs": {"images": ["decode", 0], "filename_prefix": "a"}},
    "show": {"class_type": "PreviewImage", "inputs": {"images": ["decode", 0]}},
    "other": {"class_type": "SaveImage", "inputs": {"images": ["truth", 0]}},
    "model": {"class_type": "SamplerLabLoadEmojiPrior", "inputs": {}},
    "truth": {"class_type": "SamplerLabEmojiPicture", "inputs": {"name": "donkey"}},
}


def saved(name, kind="output", folder=""):
    return {"images": [{"filename": name, "subfolder": folder, "type": kind}]}


def test_saved_pictures_behind_the_sampler_are_named_within_the_output_folder():
    outputs = {
        "save": saved("a_00001_.png", folder="sampler_lab"),
        "show": saved("shown.png", kind="temp"),
        "other": saved("truth.png"),
        "gone": saved("of a node that the graph does not have.png"),
    }
    assert list(pictures_of(GRAPH, "daps", outputs)) == ["sampler_lab/a_00001_.png"]


def test_outputs_of_another_kind_are_passed_over():
    assert list(pictures_of(GRAPH, "daps", {"save": {"text": ["a table"]}, "decode": {"images": ["text"]}})) == []


def test_a_value_that_is_a_list_of_two_is_no_link_to_a_node_that_is_not_there():
    graph = {**GRAPH, "daps": {"class_type": "X", "inputs": {"size": [64, 64]}}}
    assert list(pictures_of(graph, "daps", {"save": saved("a.png")})) == ["a.png"]
