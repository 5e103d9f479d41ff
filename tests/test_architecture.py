"""The architecture: which layer may import which, no circles, what stays out of the core, what a name begins with.

Read off the source, file by file, so that an import inside a function counts like one at the top.
"""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
from sampler_lab.labkit.layers import ARROWS, circles, imports, layer_of, layers_below, source_files
from sampler_lab.labkit.places import ROOT

#: What a ComfyUI puts on the path. ``comfy_api`` is its published interface, the rest its inside.
HOST_MODULES = {
    *("comfy", "comfy_execution", "comfy_extras", "comfyui_version", "execution", "folder_paths", "latent_preview"),
    *("node_helpers", "nodes", "server"),
}
NO_TORCH = {"labkit", "experiments"}


EVERY_FILE = pytest.mark.parametrize("file", source_files(), ids=lambda file: file.relative_to(ROOT).as_posix())


@EVERY_FILE
def test_arrows_run_downwards(file):
    layer = layer_of(file)
    allowed = layers_below(layer) | {layer}
    wrong = [
        f"line {line}: {layer}/ imports {name}"
        for line, name, ours in imports(file)
        if ours and name.split(".")[0] not in allowed
    ]
    assert wrong == []


def test_no_layer_is_below_itself():
    assert [layer for layer in ARROWS if layer in layers_below(layer)] == []


def test_no_files_import_each_other_in_a_circle():
    """Also through others, in functions, and for type checkers only: a file is understood after those it imports."""
    assert circles() == []


@EVERY_FILE
def test_the_pack_is_imported_relatively(file):
    """ComfyUI imports the pack under the name of its folder, whatever that is."""
    absolute = {name.split(".")[0] for _, name, ours in imports(file) if not ours}
    layers = (set(ARROWS) | {"sampler_lab", "lab"}) - {"__init__", "nodes"}
    assert absolute & layers == set()


@EVERY_FILE
def test_only_the_host_layer_knows_the_inside_of_comfyui(file):
    layer = layer_of(file)
    absolute = {name.split(".")[0] for _, name, ours in imports(file) if not ours}
    if layer != "host":
        assert absolute & HOST_MODULES == set()
    if layer not in ("host", "nodes", "guiders", "__init__"):
        assert "comfy_api" not in absolute


def test_python_files_hold_only_characters_of_cp1252():
    """The registry's checker reads files as Windows does, and refuses the others."""
    names = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    sources = {name: (ROOT / name).read_text(encoding="utf-8") for name in names.split() if (ROOT / name).is_file()}
    assert sources
    odd = {name: set(text) - set(text.encode("cp1252", "ignore").decode("cp1252")) for name, text in sources.items()}
    assert {name: sorted(found) for name, found in odd.items() if found} == {}


@EVERY_FILE
def test_layers_without_models_do_without_torch(file):
    absolute = {name.split(".")[0] for _, name, ours in imports(file) if not ours}
    if layer_of(file) in NO_TORCH:
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
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
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
