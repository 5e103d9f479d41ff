"""What every node of the pack does besides its own work: its inputs are checked, its notices reach the history.

The host checks what is written in a prompt against the schema, but not what comes over a link, nor what is written
where a link should be; and NaN passes every comparison with a minimum or a maximum. :func:`checked` closes these gaps
for all nodes at one place.
"""

from __future__ import annotations

import functools
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

from comfy_api.latest import io

from ..host.notices import KEY, Notice, collected

__all__ = ["check_inputs", "checked"]

#: Types of the host that only a node can make.
SOCKETS = ("IMAGE", "MASK", "LATENT", "SIGMAS", "MODEL", "VAE", "GUIDER", "SAMPLER", "NOISE")
MOST_CHOICES = 20
#: What the inputs are called that name a file or a folder; and how long a name may be, in bytes, on every disk.
PATHS = ("prefix", "folder")
LONGEST_NAME = 200
#: What a node's output says of a notice; the rest is clear from where it stands.
SHOWN = ("text", "pattern", "values", "severity")


def checked(node: type[io.ComfyNode]) -> type[io.ComfyNode]:
    """``node`` itself, whose ``execute`` from now on checks its inputs first and hands on the notices of its work."""
    execute = node.execute.__func__
    if getattr(execute, "checks_inputs", False):
        return node

    @functools.wraps(execute)
    def execute_checked(cls: type[io.ComfyNode], *arguments: Any, **values: Any) -> io.NodeOutput:
        check_inputs(_declared(node), values)  # asked each time: a list of files grows
        with collected() as notices:
            output = execute(cls, *arguments, **values)
        return _with_notices(output, notices)

    execute_checked.checks_inputs = True
    node.execute = classmethod(execute_checked)
    return node


def check_inputs(declared: Sequence[io.Input], values: Mapping[str, Any]) -> None:
    """Raise a ``ValueError`` that names the first of ``values`` that its declared input does not allow.

    Inputs that are left open are not looked at.
    """
    for each in declared:
        if each.id not in values or (values[each.id] is None and each.optional):
            continue
        value = values[each.id]
        if isinstance(each, (io.Float.Input, io.Int.Input)):
            _check_number(each, value)
        elif isinstance(each, io.Combo.Input):
            _check_choice(each, value)
        elif isinstance(each, io.String.Input):
            _check_path(each.id, value)
        elif not _may_come_over_a_link(each.get_io_type(), value):
            raise ValueError(
                f"{each.id} is {_short(value)}, which is no {each.get_io_type()}; connect the output of a node to it."
            )


def _declared(node: type[io.ComfyNode]) -> list[io.Input]:
    """Its numbers, its paths, its sockets, and its lists of choices without those that the node checks itself."""
    own_check = vars(node).get("validate_inputs")
    itself = own_check.__func__.__code__.co_varnames if own_check else ()
    return [
        each
        for each in node.define_schema().inputs
        if isinstance(each, (io.Float.Input, io.Int.Input))
        or (_has_plain_choices(each) and each.id not in itself)
        or (isinstance(each, io.String.Input) and each.id.endswith(PATHS))
        or _is_socket(each.get_io_type())
    ]


def _is_socket(io_type: str) -> bool:
    return io_type in SOCKETS or io_type.startswith("SAMPLERLAB_")


def _may_come_over_a_link(io_type: str, value: Any) -> bool:
    """The host hands a literal in a socket's place on as it is; what nodes hand on is nothing that JSON can write."""
    if io_type == "LATENT":
        return isinstance(value, dict) and "samples" in value
    return value is not None and not isinstance(value, (str, bool, int, float, list, dict))


def _check_choice(declared: Any, value: Any) -> None:
    if not isinstance(value, str) or value not in declared.options:
        raise ValueError(
            f"{declared.id} is {_short(value)}; choose one of {', '.join(map(str, declared.options[:MOST_CHOICES]))}"
            f"{', ...' if len(declared.options) > MOST_CHOICES else '.'}"
        )


def _check_path(name: str, value: Any) -> None:
    """What no file system takes; where a path may lead is asked elsewhere (``host/folders.py``)."""
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"{name} is {_short(value)}, which is no name of a file; use letters, digits and /.")
    if any(len(part.encode()) > LONGEST_NAME for part in value.split("/")) or len(value) > 5 * LONGEST_NAME:
        raise ValueError(f"{name} is {_short(value)}, which is too long; use at most {LONGEST_NAME} characters.")


def _short(value: Any) -> str:
    written = repr(value)
    return written if len(written) <= 60 else f"{written[:57]}..."


def _has_plain_choices(declared: io.Input) -> bool:
    return type(declared) is io.Combo.Input and isinstance(declared.options, list) and not declared.multiselect


def _check_number(declared: Any, value: Any) -> None:
    whole = isinstance(declared, io.Int.Input)
    must = "it must be a whole number" if whole else "it must be a number"
    if declared.min is not None and declared.max is not None:
        must += f" between {_written(declared.min)} and {_written(declared.max)}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ValueError(f"{declared.id} is of type {type(value).__name__}; {must}.")
    if value != value:
        raise ValueError(f"{declared.id} is NaN; {must}.")
    outside = (declared.min is not None and value < declared.min) or (declared.max is not None and value > declared.max)
    if outside or value in (math.inf, -math.inf) or (whole and value != int(value)):
        raise ValueError(f"{declared.id} is {_written(value)}; {must}.")


def _written(number: Any) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


def _with_notices(output: io.NodeOutput, notices: list[Notice]) -> io.NodeOutput:
    """With what there is to say beside what the node shows.

    A node that shows something has an entry even when there is nothing to say: the host merges the calls of a node
    that is given lists, and takes the entries from the first.
    """
    if output.ui is None and not notices:
        return output
    shown = output.ui if isinstance(output.ui, dict) else {} if output.ui is None else output.ui.as_dict()
    output.ui = {**shown, KEY: [{key: getattr(each, key) for key in SHOWN} for each in notices]}
    return output
