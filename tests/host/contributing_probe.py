"""Run by test_contributing_node.py in a process of its own, inside the ComfyUI folder: the pack with one more node.

Its second argument is the copy of the repository to which the node was added.
"""

import asyncio
import importlib.util
import json
import sys

import comfy.options

copy = sys.argv.pop(2)
sys.argv = [sys.argv[0], "--cpu"]
comfy.options.enable_args_parsing()
spec = importlib.util.spec_from_file_location("lab", f"{copy}/lab.py")
lab = importlib.util.module_from_spec(spec)
sys.modules["lab"] = lab
spec.loader.exec_module(lab)
lab.import_pack()

from sampler_lab.nodes import SamplerLabExtension  # noqa: E402

nodes = {node.define_schema().node_id: node for node in asyncio.run(SamplerLabExtension().get_node_list())}
hello = nodes["SamplerLabHello"]
(widget,) = hello.define_schema().inputs
sys.stdout.write(
    json.dumps({"count": len(nodes), "tooltip": widget.tooltip, "says": hello.execute(name="reader").args[0]}) + "\n"
)
