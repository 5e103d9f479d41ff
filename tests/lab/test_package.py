"""The registry package: nothing in it asks for what is not in it, and every optional library may be missing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

tomllib = pytest.importorskip("tomllib")  # Python 3.11

ROOT = Path(__file__).resolve().parents[2]


def git(*arguments: str) -> set[str]:
    answer = subprocess.run(["git", *arguments, "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in answer.stdout.split("\0") if name and (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def packaged() -> set[str]:
    """What .comfyignore, which is written as git's own lists are, leaves of the tracked files."""
    return git("ls-files") - git("ls-files", "-c", "-i", "--exclude-from=.comfyignore")


def wanted_modules(name: str) -> list[tuple[int, str]]:
    """(line, path without ending) of every module of ours that a file imports, inside functions too."""
    package = PurePosixPath(name).parent
    found = []
    for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = PurePosixPath(*package.parts[: len(package.parts) - node.level + 1])
            parts = [node.module] if node.module else [alias.name for alias in node.names]
            found += [(node.lineno, str(base.joinpath(*part.split(".")))) for part in parts]
    return found


def test_every_import_of_the_package_is_in_the_package(packaged):
    files = sorted(name for name in packaged if name.endswith(".py"))
    assert "__init__.py" in files
    assert len(files) > 100
    missing = [
        f"{name}:{line} imports {wanted}"
        for name in files
        for line, wanted in wanted_modules(name)
        if not {f"{wanted}.py", f"{wanted}/__init__.py", "__init__.py" if wanted == "." else ""} & packaged
    ]
    assert missing == []


def test_the_package_has_what_a_host_reads_and_nothing_of_the_workshop(packaged):
    needed = {"pyproject.toml", "requirements.txt", "LICENSE", "README.md", "locales/ko/nodeDefs.json"}
    assert needed <= packaged
    workshop = {"tests", "benchmarks", "labkit", "docs", "lab.py", ".ci"}
    assert {name.split("/")[0] for name in packaged} & workshop == set()
    assert {"priors/train.py", "experiments/runner.py"} & packaged == set()


def test_requirements_and_project_name_the_same_libraries():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    listed = {line.split("#")[0].strip() for line in lines} - {""}
    assert listed == set(project["project"]["dependencies"])


def test_the_project_says_where_it_lives():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    urls, comfy = project["project"]["urls"], project["tool"]["comfy"]
    repository = urls["Repository"].removeprefix("https://github.com/")
    for key in ("Icon", "Banner"):
        path = comfy[key].removeprefix(f"https://raw.githubusercontent.com/{repository}/main/")
        assert (ROOT / path).is_file(), key


WRITE = "from sampler_lab.operators.files.containers import write_arrays; write_arrays"
#: Library -> what a person does that needs it, as a statement; each must end in a sentence that says what to install.
NEEDED = {
    "timm": "from sampler_lab.posterior.interaction.dino import load_dino; load_dino(pathlib.Path('weights'))",
    "matplotlib": "from sampler_lab.instruments.plots.runs import new_figure; new_figure()",
    "scipy": f"{WRITE}(pathlib.Path(FOLDER, 'a.mat'), {{}}, {{}})",
    "h5py": f"{WRITE}(pathlib.Path(FOLDER, 'a.h5'), {{}}, {{}})",
    "lpips": "from sampler_lab.metrics.perceptual import load_lpips; print(load_lpips())",
}


@pytest.mark.parametrize("library", NEEDED)
def test_without_a_library_the_rest_works_and_a_sentence_says_what_to_install(library, tmp_path):
    """In a process of its own, where the library cannot be imported."""
    code = f"""
import pathlib, sys
sys.path.insert(0, {str(ROOT)!r})
sys.modules[{library!r}] = None
FOLDER = {str(tmp_path)!r}
import lab; lab.import_pack()
import sampler_lab.operators, sampler_lab.samplers.latent_daps, sampler_lab.schedulers, sampler_lab.metrics.report
import sampler_lab.priors.loader, sampler_lab.instruments.runs.tables
try:
    {NEEDED[library]}
except ValueError as sentence:
    print(sentence)
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert f"pip install {library}" in answer.stdout + answer.stderr
