"""The editor's workflows, turned into graphs for the queue: hand-made cases, and the editor itself."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from sampler_lab.labkit.workflow import WorkflowError, to_api

OBJECT_INFO = {
    "Load": {
        "input": {"required": {"image": [["a.png", "b.png"], {"image_upload": True}]}, "optional": {"gain": ["FLOAT"]}},
    },
    "Sample": {
        "input": {
            "required": {
                "model": ["MODEL"],
                "seed": ["INT", {"default": 0}],
                "steps": ["INT", {"default": 20}],
                "name": [["euler", "heun"]],
            },
            "optional": {"mask": ["MASK"], "strength": ["FLOAT", {"default": 1.0, "advanced": True}]},
        },
        "display_name": "Sample It",
    },
    "Model": {"input": {"required": {"on": ["BOOLEAN", {"default": True}]}}},
    "Through": {"input": {"required": {"amount": ["FLOAT", {}], "model": ["MODEL"]}}},
    "Resize": {
        "input": {
            "required": {
                "image": ["IMAGE"],
                "mode": [
                    "COMFY_DYNAMICCOMBO_V3",
                    {
                        "options": [
                            {"key": "by size", "inputs": {"required": {"width": ["INT", {}], "height": ["INT", {}]}}},
                            {"key": "by factor", "inputs": {"required": {"factor": ["FLOAT", {}]}}},
                        ]
                    },
                ],
                "method": ["COMBO", {"options": ["area", "lanczos"]}],
            }
        }
    },
    "Forced": {"input": {"required": {"text": ["STRING", {"forceInput": True}], "count": ["INT", {}]}}},
    "Batch": {
        "input": {
            "required": {
                "images": ["COMFY_AUTOGROW_V3", {"template": {"input": {"required": {"image": ["IMAGE", {}]}}}}],
                "axis": ["INT", {}],
            }
        }
    },
}


def node(key, kind, values=(), inputs=(), outputs=("MODEL",), **more):
    """A node as the editor saves it; ``inputs`` are (name, type, link)."""
    return {
        "id": key,
        "type": kind,
        "widgets_values": list(values),
        "inputs": [{"name": name, "type": each, "link": link} for name, each, link in inputs],
        "outputs": [{"name": each, "type": each} for each in outputs],
        **more,
    }


def workflow(*nodes, links=()):
    return {"nodes": list(nodes), "links": [list(link) for link in links]}


def inputs_of(key, *nodes, links=()):
    return to_api(workflow(*nodes, links=links), OBJECT_INFO)[key]["inputs"]


MODEL = node(1, "Model", [False])


def test_values_get_the_names_of_the_schema():
    got = inputs_of(
        "2",
        MODEL,
        node(2, "Sample", [7, "fixed", 30, "heun", 0.5], [("model", "MODEL", 9)]),
        links=[(9, 1, 0, 2, 0, "MODEL")],
    )
    assert got == {"model": ["1", 0], "seed": 7, "steps": 30, "name": "heun", "strength": 0.5}


def test_a_seed_without_its_control_is_read_too():
    assert inputs_of("2", node(2, "Sample", [7, 30, "heun", 0.5]))["steps"] == 30


def test_a_workflow_from_before_an_input_was_added_gets_its_default():
    assert inputs_of("2", node(2, "Sample", [7, "randomize", 30, "heun"]))["strength"] == 1.0


def test_the_upload_button_has_a_value_of_its_own():
    assert inputs_of("1", node(1, "Load", ["b.png", "image", 2.0])) == {"image": "b.png", "gain": 2.0}


def test_values_saved_by_name():
    graph = workflow(node(2, "Through"))
    graph["nodes"][0]["widgets_values"] = {"amount": 3.0, "preview": {"hidden": True}}
    assert to_api(graph, OBJECT_INFO)["2"]["inputs"] == {"amount": 3.0}


def test_a_link_takes_the_place_of_the_widget():
    sampler = node(2, "Sample", [7, "fixed", 30, "heun", 0.5], [("seed", "INT", 4)])
    sampler["inputs"][0]["widget"] = {"name": "seed"}
    got = inputs_of("2", node(3, "Model", outputs=("INT",)), sampler, links=[(4, 3, 0, 2, 0, "INT")])
    assert got["seed"] == ["3", 0]
    assert got["steps"] == 30


def test_a_forced_input_has_no_widget():
    assert inputs_of("1", node(1, "Forced", [5])) == {"count": 5}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["by size", 640, 480, "lanczos"], {"mode": "by size", "mode.width": 640, "mode.height": 480}),
        (["by factor", 2.0, "lanczos"], {"mode": "by factor", "mode.factor": 2.0}),
    ],
)
def test_a_dynamic_list_brings_the_inputs_of_its_choice(values, expected):
    assert inputs_of("1", node(1, "Resize", values)) == {**expected, "method": "lanczos"}


def test_inputs_that_grew_are_linked_by_name():
    batch = node(
        3,
        "Batch",
        [2],
        [("images.image0", "IMAGE", 1), ("images.image1", "IMAGE", 2), ("images.image2", "IMAGE", None)],
    )
    sources = [node(key, "Load", ["a.png"], outputs=("IMAGE",)) for key in (1, 2)]
    got = inputs_of("3", *sources, batch, links=[(1, 1, 0, 3, 0, "IMAGE"), (2, 2, 0, 3, 1, "IMAGE")])
    assert got == {"images.image0": ["1", 0], "images.image1": ["2", 0], "axis": 2}


def test_notes_stay_in_the_editor():
    graph = workflow(node(1, "Model", [True]), node(2, "Note", ["hello"]), node(3, "MarkdownNote", ["# hello"]))
    assert list(to_api(graph, OBJECT_INFO)) == ["1"]


def test_reroutes_are_looked_through():
    got = inputs_of(
        "4",
        MODEL,
        node(2, "Reroute", inputs=[("", "*", 1)]),
        node(3, "Reroute", inputs=[("", "*", 2)]),
        node(4, "Through", [1.0], [("model", "MODEL", 3)]),
        links=[(1, 1, 0, 2, 0, "*"), (2, 2, 0, 3, 0, "*"), (3, 3, 0, 4, 1, "MODEL")],
    )
    assert got["model"] == ["1", 0]


def test_a_bypassed_node_hands_its_input_on():
    """The input of the output's type, although another one comes first."""
    bypassed = node(2, "Through", [1.0], [("amount", "FLOAT", None), ("model", "MODEL", 1)], mode=4)
    graph = workflow(
        MODEL,
        bypassed,
        node(3, "Through", [2.0], [("model", "MODEL", 2)]),
        links=[(1, 1, 0, 2, 1, "MODEL"), (2, 2, 0, 3, 1, "MODEL")],
    )
    assert to_api(graph, OBJECT_INFO)["3"]["inputs"] == {"amount": 2.0, "model": ["1", 0]}
    assert "2" not in to_api(graph, OBJECT_INFO)


def test_a_muted_node_and_its_links_are_left_out():
    muted = {**MODEL, "mode": 2}
    got = to_api(
        workflow(muted, node(3, "Through", [2.0], [("model", "MODEL", 1)]), links=[(1, 1, 0, 3, 1, "MODEL")]),
        OBJECT_INFO,
    )
    assert {key: each["inputs"] for key, each in got.items()} == {"3": {"amount": 2.0}}


def test_a_primitive_gives_its_value():
    sampler = node(2, "Sample", [7, "fixed", 30, "heun"], [("steps", "INT", 1)])
    sampler["inputs"][0]["widget"] = {"name": "steps"}
    got = inputs_of(
        "2", node(1, "PrimitiveNode", [12, "fixed"], outputs=("INT",)), sampler, links=[(1, 1, 0, 2, 0, "INT")]
    )
    assert got["steps"] == 12


def test_a_circle_of_reroutes_ends():
    got = inputs_of(
        "3",
        node(1, "Reroute", inputs=[("", "*", 2)]),
        node(2, "Reroute", inputs=[("", "*", 1)]),
        node(3, "Through", [1.0], [("model", "MODEL", 3)]),
        links=[(1, 1, 0, 2, 0, "*"), (2, 2, 0, 1, 0, "*"), (3, 2, 0, 3, 1, "MODEL")],
    )
    assert got == {"amount": 1.0}


def test_links_of_the_newer_format():
    graph = workflow(MODEL, node(2, "Through", [1.0], [("model", "MODEL", 5)]))
    graph["links"] = [{"id": 5, "origin_id": 1, "origin_slot": 0, "target_id": 2, "target_slot": 1, "type": "MODEL"}]
    assert to_api(graph, OBJECT_INFO)["2"]["inputs"]["model"] == ["1", 0]


def test_a_list_as_a_value_is_told_from_a_link():
    info = {"Curve": {"input": {"required": {"points": ["CURVE", {"socketless": True}]}}}}
    got = to_api(workflow(node(1, "Curve", [[[0, 0], [1, 1]]])), info)
    assert got["1"]["inputs"] == {"points": {"__value__": [[0, 0], [1, 1]]}}


def test_titles_come_along():
    graph = workflow(node(1, "Sample", [1]), node(2, "Model", [True], title="Mine"))
    assert [each["_meta"]["title"] for each in to_api(graph, OBJECT_INFO).values()] == ["Sample It", "Mine"]


def test_a_node_that_the_host_does_not_have_is_named():
    with pytest.raises(WorkflowError, match="Node 7 of the workflow is a 'Elsewhere', which this host does not have"):
        to_api(workflow(node(7, "Elsewhere")), OBJECT_INFO)


def test_a_subgraph_is_refused():
    graph = workflow(node(7, "some-uuid"))
    graph["definitions"] = {"subgraphs": [{"id": "some-uuid"}]}
    with pytest.raises(WorkflowError, match="Node 7 of the workflow is a subgraph"):
        to_api(graph, OBJECT_INFO)


@pytest.mark.parametrize("wrong", [{"1": {"class_type": "Model", "inputs": {}}}, {"nodes": [{}]}, {"nodes": 3}])
def test_what_is_no_workflow_is_refused(wrong):
    with pytest.raises(WorkflowError, match="not a workflow saved by the editor"):
        to_api(wrong, OBJECT_INFO)


#: Of the editor's own templates: widgets and links of many kinds, dynamic lists, notes, reroutes, bypassed nodes.
#: (Left out are widgets that only show something and whose value the host ignores.)
SHOWN_ONLY = {"SaveGLB": {"image"}, "ImageCompare": {"compare_view"}}
STRIDE = 5


@pytest.mark.host
@pytest.mark.browser
def test_the_editor_makes_the_same_graphs_of_its_own_templates(page, object_info):
    compared = 0
    for path in _plain_templates(object_info)[::STRIDE]:
        saved = json.loads(path.read_text(encoding="utf-8"))
        editors = page.evaluate(
            "async saved => { await app.loadGraphData(saved); return (await app.graphToPrompt()).output }", saved
        )
        assert _computed(to_api(saved, object_info)) == _computed(editors), path.name
        compared += 1
    assert compared >= 8


def _plain_templates(object_info) -> list[Path]:
    """The templates in the host's packages without subgraphs and without nodes that this host lacks."""
    virtual = {"Note", "MarkdownNote", "Reroute", "PrimitiveNode"}
    found = []
    for package in ("comfyui_workflow_templates_json", "comfyui_workflow_templates"):
        spec = find_spec(package)
        folders = spec.submodule_search_locations if spec else []
        found += [path for folder in folders for path in sorted(Path(folder).rglob("*.json"))]
    return [path for path in found if _is_plain(json.loads(path.read_text(encoding="utf-8")), {*object_info, *virtual})]


def _is_plain(saved, known) -> bool:
    if not isinstance(saved, dict) or "nodes" not in saved or (saved.get("definitions") or {}).get("subgraphs"):
        return False
    return all(each["type"] in known for each in saved["nodes"])


def _computed(prompt):
    """What decides about the result: types and inputs."""
    return {
        key: (
            each["class_type"],
            {k: v for k, v in each["inputs"].items() if k not in SHOWN_ONLY.get(each["class_type"], set())},
        )
        for key, each in prompt.items()
    }
