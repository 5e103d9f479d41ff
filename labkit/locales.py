"""The English strings of the pack's nodes, as the editor's translation files have them.

English is written in the nodes' schemas alone; ``locales/en/nodeDefs.json`` is made from them, and the other languages
have the same keys. A test compares. To write it again, with a host running (``python3 lab.py serve``):

    python3 -m labkit.locales http://127.0.0.1:8188 > locales/en/nodeDefs.json
"""

from __future__ import annotations

import json
import sys
import urllib.request
from typing import Any

__all__ = ["PREFIX", "english"]

PREFIX = "SamplerLab"


def english(object_info: dict[str, Any]) -> dict[str, Any]:
    """Node id to display name, description, inputs and outputs, from the host's ``/object_info``.

    The editor's keys treat a dot as a step down, so a name with dots would not be found; there is none here.
    """
    return {
        node_id: {
            "display_name": info["display_name"],
            "description": info["description"],
            "inputs": {
                name: {"name": name, **_tooltip(spec)}
                for group in ("required", "optional")
                for name, spec in info["input"].get(group, {}).items()
            },
            "outputs": {
                str(slot): {"name": name, **({"tooltip": tip} if tip else {})}
                for slot, (name, tip) in enumerate(zip(info["output_name"], _output_tooltips(info), strict=True))
            },
        }
        for node_id, info in sorted(object_info.items())
        if node_id.startswith(PREFIX)
    }


def _tooltip(spec: list[Any]) -> dict[str, str]:
    options = spec[1] if len(spec) > 1 else {}
    return {"tooltip": options["tooltip"]} if options.get("tooltip") else {}


def _output_tooltips(info: dict[str, Any]) -> list[str | None]:
    return list(info.get("output_tooltips") or [None] * len(info["output_name"]))


if __name__ == "__main__":
    with urllib.request.urlopen(f"{sys.argv[1].rstrip('/')}/object_info") as answer:
        json.dump(english(json.load(answer)), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
