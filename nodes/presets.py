"""A preset whose numbers the editor shows: what a node's schema says about it, for ``web/preset_fill.js``.

The node declares what each preset sets; the editor fills those numbers into the widgets when a preset is chosen, and
turns the preset to the node's word for "the numbers as they stand" when one of them is changed by hand. A prompt from
elsewhere keeps its meaning: a preset's name stands for the preset's numbers, whatever else is in the prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["KEY", "shown_presets"]

#: Where the editor finds it, among the options of the preset's combo in ``/object_info``.
KEY = "sampler_lab_presets"


def shown_presets(presets: Mapping[str, Mapping[str, Any]], custom: str) -> dict[str, Any]:
    """The ``extra_dict`` of a combo input that chooses among ``presets``.

    Args:
        presets: of each choice, the inputs that it sets and their values (numbers, texts, booleans).
        custom: the choice that takes the inputs as they stand.
    """
    return {KEY: {"custom": custom, "values": {name: dict(values) for name, values in presets.items()}}}
