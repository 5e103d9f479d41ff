"""Run by test_measurement_nodes.py inside the ComfyUI folder: the inputs that each operator of the catalogue has.

One of them is a node here, written as ``nodes/operator_inputs.py`` says.
"""

import json
import sys
from typing import Any

from inside_host import enter_host, sentence

enter_host()

import torch  # noqa: E402
from comfy_api.latest import io  # noqa: E402
from sampler_lab.nodes.checked import checked  # noqa: E402
from sampler_lab.nodes.measurement import SamplerLabMeasure, SamplerLabPreviewMeasurement  # noqa: E402
from sampler_lab.nodes.operator_inputs import operator_inputs  # noqa: E402
from sampler_lab.nodes.types import OPERATOR  # noqa: E402
from sampler_lab.operators import OPERATORS, Grey  # noqa: E402


class GreyNode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabGrey",
            display_name="Grey",
            category="sampler lab/measurement",
            inputs=operator_inputs(Grey),
            outputs=[OPERATOR.Output()],
        )

    @classmethod
    def execute(cls, **settings: Any) -> io.NodeOutput:
        return io.NodeOutput(Grey.from_dict(settings))


def inputs_of(kind: type) -> dict:
    """Of an operator's node: name -> default, and whether all defaults together are the operator's own."""
    inputs = operator_inputs(kind)
    values = {each.id: each.default for each in inputs}
    io.Schema(node_id=f"SamplerLab{kind.name}", inputs=inputs, outputs=[OPERATOR.Output()]).validate()
    return {
        "values": values,
        "same": kind.from_dict(values) == kind(),
        "untold": [i.id for i in inputs if not i.tooltip],
    }


def run_grey() -> dict:
    """The chain Grey -> Measure -> Preview Measurement, as the host calls it."""
    node = checked(GreyNode)
    (operator,) = node.execute(noise="gaussian", noise_sigma=0.0, clip_negative=False).result
    picture = torch.rand(1, 8, 6, 3, generator=torch.Generator().manual_seed(0))
    (measurement,) = SamplerLabMeasure.execute(operator=operator, image=picture, seed=1).result
    (shown,) = SamplerLabPreviewMeasurement.execute(measurement=measurement, decades=3.0).result
    error = (measurement.y[0, 0] - (picture[0].mean(-1) * 2 - 1)).abs().max().item()
    wrong = sentence(node.execute, noise="salt", noise_sigma=0.0, clip_negative=False)
    return {"error": error, "shown": list(shown.shape), "wrong": wrong}


sys.stdout.write(json.dumps({"inputs": {n: inputs_of(k) for n, k in OPERATORS.items()}, "grey": run_grey()}) + "\n")
