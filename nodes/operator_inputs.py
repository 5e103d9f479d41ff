"""The inputs of an operator's node, made from the operator's options and those of the noise models.

A node for another operator of the catalogue is its sentences and three lines::

    class SamplerLabGrey(io.ComfyNode):
        @classmethod
        def define_schema(cls) -> io.Schema:
            return io.Schema(node_id="SamplerLabGrey", ..., inputs=operator_inputs(Grey), outputs=[OPERATOR.Output()])

        @classmethod
        def execute(cls, **settings: Any) -> io.NodeOutput:
            return io.NodeOutput(Grey.from_dict(settings))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from comfy_api.latest import io

from ..operators import Operator
from .inputs import widget

__all__ = ["operator_inputs"]


def operator_inputs(
    kind: type[Operator], order: Sequence[str] = (), changes: Mapping[str, Mapping[str, Any]] | None = None
) -> list[io.Input]:
    """One input per setting of ``kind``, under the names that :meth:`Operator.from_dict` takes.

    Args:
        order: names that come first; by default the operator's own options, then the noise's.
        changes: of an input by its name, arguments that the node wants otherwise than the option says.
    """
    settings = {each.name: each for each in kind.settings()}
    names = [*order, *(name for name in settings if name not in order)]
    return [widget(settings[name], **(changes or {}).get(name, {})) for name in names]
