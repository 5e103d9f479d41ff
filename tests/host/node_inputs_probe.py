"""Run by test_node_inputs.py in a process of its own, inside the ComfyUI folder: inputs made from options."""

import json
import sys
from dataclasses import dataclass

from inside_host import enter_host

enter_host()

from sampler_lab.diffusion.options import Option, Options, option  # noqa: E402
from sampler_lab.nodes.inputs import widget, widgets  # noqa: E402


@dataclass(frozen=True)
class Settings(Options):
    """One option of each type."""

    strength: float = option(0.1, "A share.", minimum=0.0, maximum=1.0, step=0.01)
    sigma: float = option(2.0, "A level.", above=0.0, maximum=80.0, advanced=True)
    steps: int = option(20, "A number.", minimum=1, maximum=10_000)
    parts: int = option(3, "More than one.", above=1)
    mode: str = option("fast", "A choice.", choices=("fast", "slow"))
    name: str = option("", "A text.")
    on: bool = option(True, "A switch.", added_later=True)


def told(each) -> list:
    return [each.id, each.get_io_type(), each.as_dict()]


def measure() -> dict:
    changed = widget(Option("eta", 1.0, "Noise.", minimum=0.0), default=0.5, tooltip="Less noise.", optional=True)
    return {"every": [told(each) for each in widgets(Settings.options())], "changed": told(changed)}


sys.stdout.write(json.dumps(measure()) + "\n")
