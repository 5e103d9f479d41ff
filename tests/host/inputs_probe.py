"""Run by test_inputs.py in a process of its own, inside the ComfyUI folder: what every node says of wrong inputs."""

import asyncio
import json
import math
import sys

from inside_host import enter_host, sentence

enter_host()

from comfy_api.latest import io  # noqa: E402
from sampler_lab.nodes import SamplerLabExtension  # noqa: E402

NUMBERS = {"NaN": math.nan, "infinite": math.inf, "minus infinity": -math.inf, "a text": "abc", "true": True}


def measure() -> dict:
    """Node -> input -> what was put there -> the sentence; every other input is missing, so nothing can have run."""
    said: dict = {}
    for node in asyncio.run(SamplerLabExtension().get_node_list()):
        schema = node.define_schema()
        for each in schema.inputs:
            wrong = {}
            if isinstance(each, (io.Float.Input, io.Int.Input)):
                wrong = NUMBERS | {"above": each.max * 2 + 1, "below": each.min - 1}
            elif isinstance(each, io.Combo.Input):
                wrong = {"no choice": "neither nor"} if "validate_inputs" not in vars(node) else {}
            elif isinstance(each, io.String.Input) and each.id in ("folder", "filename_prefix", "metrics_prefix"):
                wrong = {"too long": "x" * 300, "a null": "run\0", "a line break": "run\n"}
            elif each.get_io_type() == "LATENT" or each.get_io_type().startswith("SAMPLERLAB_"):
                wrong = {"a text": "abc", "a number": 3, "a dict": {}}
            if wrong:
                found = {how: sentence(node.execute, **{each.id: value}) for how, value in wrong.items()}
                said.setdefault(schema.node_id, {})[each.id] = found
    return said


sys.stdout.write(json.dumps(measure()) + "\n")
