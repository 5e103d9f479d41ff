"""Templates are laid out from measured sizes: nothing covers anything, whatever the sizes."""

from __future__ import annotations

import copy
import random

import pytest
from sampler_lab.labkit.layout import TITLE, arranged, collisions, outside_of_groups


def node(key, x, y):
    return {"id": key, "pos": [x, y], "size": [10, 10]}


def template():
    """Two columns in a group, a group below it, one beside it, a node in no group; all of them in a heap of 10 px."""
    nodes = [node(1, 30, 80), node(2, 30, 120), node(3, 200, 80), node(4, 30, 520), node(5, 900, 80), node(6, 1500, 80)]
    groups = [
        {"title": "a", "bounding": [20, 40, 500, 300]},
        {"title": "b", "bounding": [20, 480, 500, 300]},
        {"title": "c", "bounding": [890, 40, 300, 300]},
    ]
    return {"nodes": nodes, "groups": groups}


def boxes(workflow):
    return {
        str(each["id"]): (each["pos"][0], each["pos"][1] - TITLE, each["size"][0], each["size"][1] + TITLE)
        for each in workflow["nodes"]
    }


def frames(workflow):
    return [(group["title"], tuple(group["bounding"])) for group in workflow["groups"]]


@pytest.mark.parametrize("seed", range(20))
def test_nothing_covers_anything_whatever_the_sizes(seed):
    draw = random.Random(seed)
    sizes = {str(k): (draw.uniform(100, 900), draw.uniform(60, 900)) for k in range(1, 7)}
    before = template()
    untouched = copy.deepcopy(before)
    after = arranged(before, sizes)
    assert before == untouched
    assert collisions(boxes(after)) == []
    assert outside_of_groups(boxes(after), frames(after)) == []
    assert collisions(dict(frames(after))) == []
    for key, (_, _, width, height) in boxes(after).items():
        assert width >= sizes[key][0]
        assert height >= sizes[key][1]
    assert arranged(after, sizes) == after


def test_the_order_that_a_person_chose_stays():
    after = arranged(template(), {str(k): (100, 100) for k in range(1, 7)})
    place = {each["id"]: each["pos"] for each in after["nodes"]}
    assert place[1][0] == place[2][0] < place[3][0] < place[5][0] < place[6][0]
    assert place[1][1] < place[2][1] < place[4][1]
    assert place[1][1] == place[3][1]


def test_what_overlaps_or_sticks_out_is_told():
    heap = {"1": (0, 0, 100, 100), "2": (90, 90, 100, 100), "3": (200, 0, 100, 100), "4": (299.5, 0, 50, 50)}
    assert collisions(heap) == [("1", "2")]
    assert outside_of_groups(heap, [("frame", (-10, -10, 150, 400))]) == [("2", "frame")]
