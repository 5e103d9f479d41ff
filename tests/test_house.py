"""The rules of the house: which room may import which, what stays out of the core, what a name begins with.

Read off the source, file by file, so that an import inside a function counts like one at the top.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: Room -> rooms it may import, as the plan of the house has it. Arrows run downwards only.
ARROWS = {
    "__init__": {"nodes", "host"},
    "nodes": {
        *("guiders", "host", "samplers", "posterior", "parameterization", "operators"),
        *("schedulers", "metrics", "priors", "experiments"),
    },
    "guiders": {"posterior", "host"},
    "host": {"samplers", "schedulers", "priors"},
    "samplers": {"posterior", "parameterization"},
    "posterior": {"operators", "parameterization", "sentence"},
    "parameterization": set(),
    "sentence": set(),  # what is said to users, in a form that can be translated
    "operators": set(),
    "schedulers": set(),
    "metrics": {"sentence"},
    "priors": set(),
    "experiments": {"metrics", "posterior", "labkit"},  # of posterior only how metrics.json is read
    "labkit": set(),
}
#: What a ComfyUI puts on the path. ``comfy_api`` is its published interface, the rest its inside.
HOST_MODULES = {
    *("comfy", "comfy_execution", "comfy_extras", "comfyui_version", "execution", "folder_paths", "latent_preview"),
    *("node_helpers", "nodes", "server"),
}
NO_TORCH = {"labkit", "experiments"}


def reachable(room: str) -> set[str]:
    """The rooms below: where an arrow leads, and where it leads from there."""
    below: set[str] = set()
    waiting = list(ARROWS[room])
    while waiting:
        next_room = waiting.pop()
        if next_room not in below:
            below.add(next_room)
            waiting += ARROWS[next_room]
    return below


def files() -> list[Path]:
    """Every Python file of the pack itself."""
    rooms = [room for room in ARROWS if (ROOT / room).is_dir()]
    return sorted(
        [
            *(ROOT / name for name in ("__init__.py", "parameterization.py", "sentence.py")),
            *(file for room in rooms for file in (ROOT / room).rglob("*.py")),
        ]
    )


EVERY_FILE = pytest.mark.parametrize("file", files(), ids=lambda file: file.relative_to(ROOT).as_posix())


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), filename=str(file))


def room_of(file: Path) -> str:
    first = file.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def imports(file: Path) -> Iterator[tuple[int, str, bool]]:
    """(line, dotted name, whether it is ours) of every import in a file; our names start at the root of the pack."""
    package = file.relative_to(ROOT).parent.parts
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, node.module or "", False
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - (node.level - 1)]
            assert node.level - 1 <= len(package), f"{file}:{node.lineno} imports from outside the pack"
            if node.module:
                yield node.lineno, ".".join((*base, node.module)), True
            else:
                yield from ((node.lineno, ".".join((*base, alias.name)), True) for alias in node.names)


@EVERY_FILE
def test_arrows_run_downwards(file):
    room = room_of(file)
    allowed = reachable(room) | {room}
    wrong = [
        f"line {line}: {room}/ imports {name}"
        for line, name, ours in imports(file)
        if ours and name.split(".")[0] not in allowed
    ]
    assert wrong == []


def test_the_house_has_no_circle():
    assert [room for room in ARROWS if room in reachable(room)] == []


@EVERY_FILE
def test_the_pack_is_imported_relatively(file):
    """ComfyUI imports the pack under the name of its folder, whatever that is."""
    absolute = {name.split(".")[0] for _, name, ours in imports(file) if not ours}
    rooms = (set(ARROWS) | {"sampler_lab", "lab"}) - {"__init__", "nodes"}
    assert absolute & rooms == set()


@EVERY_FILE
def test_only_the_host_room_knows_the_inside_of_comfyui(file):
    room = room_of(file)
    absolute = {name.split(".")[0] for _, name, ours in imports(file) if not ours}
    if room != "host":
        assert absolute & HOST_MODULES == set()
    if room not in ("host", "nodes", "guiders", "__init__"):
        assert "comfy_api" not in absolute


def test_python_files_hold_only_characters_of_cp1252():
    """The registry's checker reads files as Windows does, and refuses the others."""
    names = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    sources = {name: (ROOT / name).read_text(encoding="utf-8") for name in names.split() if (ROOT / name).is_file()}
    assert sources
    odd = {name: set(text) - set(text.encode("cp1252", "ignore").decode("cp1252")) for name, text in sources.items()}
    assert {name: sorted(found) for name, found in odd.items() if found} == {}


@EVERY_FILE
def test_rooms_without_models_do_without_torch(file):
    absolute = {name.split(".")[0] for _, name, ours in imports(file) if not ours}
    if room_of(file) in NO_TORCH:
        assert absolute & {"torch", "torchvision", "timm", "safetensors"} == set()


def test_the_lab_needs_the_standard_library_only():
    needed = {
        (file.name, name.split(".")[0])
        for file in [ROOT / "lab.py", *(ROOT / "labkit").glob("*.py")]
        for _, name, ours in imports(file)
        if not ours and name.split(".")[0] not in sys.stdlib_module_names
    }
    assert needed == {("plots.py", "matplotlib")}  # run by the lab's own Python, once it is there


def test_ids_and_categories_bear_the_name_of_the_pack():
    """A node id belongs to one pack in the world; ours begin with SamplerLab, in menus under sampler lab/."""
    ids, categories = [], []
    for file in (ROOT / "nodes").glob("*.py"):
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant):
                ids += [node.value.value] if node.arg == "node_id" else []
                categories += [node.value.value] if node.arg == "category" else []
    assert ids
    assert [each for each in ids if not each.startswith("SamplerLab")] == []
    assert [each for each in categories if not each.startswith("sampler lab/")] == []
    assert len(set(ids)) == len(ids)


def test_the_pack_can_be_imported_without_comfyui_and_without_torch():
    """What ComfyUI imports at its start is light, and the first thing to be seen when it is not."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import lab; pack = lab.import_pack(); "
        "assert lab.import_pack() is pack; assert pack.WEB_DIRECTORY == './web'; "
        "assert not {'torch', 'comfy', 'numpy'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
