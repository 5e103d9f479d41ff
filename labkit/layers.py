"""The layers of the pack: which may import which, and what the files really import. Read off the source.

``tests/test_architecture.py`` holds the rules, ``benchmarks/architecture.py`` draws them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from .places import ROOT

__all__ = ["ABOUT", "ARROWS", "circles", "imported_files", "imports", "layer_of", "layers_below", "source_files"]

#: Layer -> layers it may import, besides what lies below those. Arrows run downwards only.
ARROWS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        layer: frozenset(below)
        for layer, below in {
            "__init__": {"nodes", "host"},
            "nodes": {"guiders", "host", "instruments"},
            "guiders": {"posterior", "host"},
            "host": {"samplers", "schedulers", "instruments", "priors"},
            "experiments": {"instruments", "priors", "labkit"},
            "samplers": {"posterior", "schedulers", "diffusion"},
            "posterior": {"operators", "diffusion"},
            "operators": {"diffusion"},
            "schedulers": {"diffusion"},
            "instruments": {"metrics", "diffusion"},
            "metrics": {"diffusion"},
            "priors": set(),
            "diffusion": set(),
            "labkit": set(),
        }.items()
    }
)
#: What lives in each, in a few words.
ABOUT: Mapping[str, str] = MappingProxyType(
    {
        "__init__": "what ComfyUI imports",
        "nodes": "nodes, made from options",
        "guiders": "corrections of a prediction",
        "host": "all that imports ComfyUI",
        "experiments": "grids, executors, reports",
        "samplers": "k-diffusion functions",
        "posterior": "the loop and its parts",
        "operators": "forward operators, noise, files",
        "schedulers": "noise levels",
        "instruments": "records, tables, plots",
        "metrics": "PSNR, SSIM, LPIPS, alignment",
        "priors": "Emoji-64",
        "diffusion": "coordinates, options, observers",
        "labkit": "lab.py: set-up, server, queue",
    }
)


def layers_below(layer: str) -> set[str]:
    """Where an arrow leads, and where it leads from there."""
    below: set[str] = set()
    waiting = list(ARROWS[layer])
    while waiting:
        following = waiting.pop()
        if following not in below:
            below.add(following)
            waiting += ARROWS[following]
    return below


def source_files() -> list[Path]:
    """Every Python file of the pack itself."""
    return sorted([ROOT / "__init__.py", *(file for layer in ARROWS for file in (ROOT / layer).rglob("*.py"))])


def layer_of(file: Path) -> str:
    """The layer that a file belongs to."""
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


@cache
def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), filename=str(file))


def imports(file: Path) -> Iterator[tuple[int, str, bool]]:
    """(line, dotted name, whether it is ours) of every import in a file, wherever it stands.

    Our names start at the root of the pack; of ``from .a import b`` it is ``a.b``, which may be a file or be in one.
    """
    package = file.relative_to(ROOT).parent.parts
    for node in ast.walk(_parsed(file)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, node.module or "", False
        elif isinstance(node, ast.ImportFrom):
            if node.level - 1 > len(package):
                raise ValueError(f"{file}:{node.lineno} imports from outside the pack")
            base = (*package[: len(package) - (node.level - 1)], *(node.module or "").split("."))
            yield from ((node.lineno, ".".join((*filter(None, base), alias.name)), True) for alias in node.names)


def imported_files(file: Path) -> set[Path]:
    """The pack's own files that a file imports, itself left out."""
    found = {_file_of(name) for _, name, ours in imports(file) if ours}
    return {each for each in found if each is not None and each != file}


def _file_of(name: str) -> Path | None:
    """The file that a dotted name is, or is defined in."""
    parts = name.split(".")
    for count in (len(parts), len(parts) - 1):
        path = ROOT.joinpath(*parts[:count])
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return file
    return None


def circles() -> list[list[str]]:
    """Files that import each other, directly or through others: each circle once, by name."""
    graph = {file: imported_files(file) for file in source_files()}
    reach = {file: _reachable(file, graph) for file in graph}
    groups = {frozenset(other for other in graph if other in reach[file] and file in reach[other]) for file in graph}
    return [sorted(each.relative_to(ROOT).as_posix() for each in group) for group in groups if len(group) > 1]


def _reachable(file: Path, graph: Mapping[Path, set[Path]]) -> set[Path]:
    found: set[Path] = set()
    waiting = [file]
    while waiting:
        for each in graph.get(waiting.pop(), ()):
            if each not in found:
                found.add(each)
                waiting.append(each)
    return found
