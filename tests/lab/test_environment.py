"""The lab's environment: real virtual environments, real pip, on packages that the tests make themselves."""

from __future__ import annotations

import ast
import base64
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from sampler_lab.labkit import places
from sampler_lab.labkit.environment import Environment, has_modules, run_pip
from sampler_lab.labkit.errors import LabError
from sampler_lab.labkit.server import free_port
from sampler_lab.labkit.setup import check_space

ROOT = Path(__file__).resolve().parents[2]
MODULES = 1500


def make_wheel(folder: Path, version: str = "1.0", name: str = "labprobe", requires: str = "") -> Path:
    """A wheel of a package of many small modules, written by hand (PEP 427)."""
    files = {f"{name}/m{i:04}.py": f"value = {i}\n".encode() for i in range(MODULES)}
    files[f"{name}/__init__.py"] = b""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files[f"{info}/METADATA"] = (metadata + (f"Requires-Dist: {requires}\n" if requires else "")).encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    lines = []
    for file, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{file},sha256={digest},{len(content)}")
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,", ""]).encode()
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file, content in files.items():
            archive.writestr(file, content)
    return wheel


def pinned(wheels: Path, name: str, *files: Path) -> str:
    """A line of constraints.txt, with the hashes of ``files``, and where pip finds them."""
    hashes = " ".join(f"--hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files)
    return f"--no-index\n--find-links {wheels}\n{name} {hashes}\n"


@pytest.fixture(scope="module")
def offline(tmp_path_factory) -> tuple[Path, Path]:
    """Requirements that ask for ``labprobe``, and what pins it, from a folder."""
    folder = tmp_path_factory.mktemp("index")
    wheel = make_wheel(folder / "wheels")
    (folder / "requirements.txt").write_text("labprobe\n")
    (folder / "constraints.txt").write_text(pinned(folder / "wheels", "labprobe==1.0", wheel))
    return folder / "requirements.txt", folder / "constraints.txt"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Environment:
    environment = Environment(tmp_path_factory.mktemp("made") / "venv")
    environment.make()
    return environment


@pytest.fixture
def environment(made, tmp_path) -> Environment:
    """A whole environment of this test's own, still without packages."""
    shutil.copytree(made.folder, tmp_path / "venv", symlinks=True)
    return Environment(tmp_path / "venv")


def site_packages(environment: Environment) -> Path:
    return next(environment.folder.glob("**/site-packages"))


def works(environment: Environment) -> bool:
    code = (
        "from importlib import import_module\n"
        f"assert all(import_module(f'labprobe.m{{n:04}}').value == n for n in range({MODULES}))"
    )
    return subprocess.run([environment.python, "-c", code], check=False).returncode == 0


def test_packages_are_installed_once(environment, offline, tmp_path):
    requirements, constraints = offline
    assert not environment.has_packages([requirements], constraints)
    said: list[str] = []
    environment.install([requirements], constraints, tmp_path / "tmp", said.append)
    assert environment.has_packages([requirements], constraints)
    assert works(environment)
    assert said, "the person at the terminal has seen nothing"
    assert not (tmp_path / "tmp").exists()


def test_changed_requirements_are_noticed(environment, offline, tmp_path):
    requirements, constraints = offline
    environment.install([requirements], constraints, tmp_path / "tmp", lambda text: None)
    pinned = tmp_path / "constraints.txt"
    pinned.write_text("labprobe==1.0\n")
    assert not environment.has_packages([requirements], pinned)


def test_a_killed_make_is_made_again(tmp_path):
    environment = Environment(tmp_path / "venv")
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "import lab; lab.import_pack()\n"
        "from pathlib import Path\nfrom sampler_lab.labkit.environment import Environment\n"
        f"Environment(Path({str(environment.folder)!r})).make()"
    )

    def attempt() -> bool:
        shutil.rmtree(environment.folder, ignore_errors=True)
        return killed_when(code, environment.python.exists)

    assert any(attempt() for _ in range(5)), "on this machine it is always too late for a kill"
    assert not environment.is_made()
    environment.make()
    assert environment.is_made()


def test_a_killed_installation_is_finished_by_the_next(made, environment, offline, tmp_path):
    requirements, constraints = offline
    package = site_packages(environment) / "labprobe"
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "import lab; lab.import_pack()\n"
        "from pathlib import Path\nfrom sampler_lab.labkit.environment import Environment\n"
        f"Environment(Path({str(environment.folder)!r})).install([Path({str(requirements)!r})], "
        f"Path({str(constraints)!r}), Path({str(tmp_path / 'tmp')!r}), lambda text: None)"
    )

    def attempt() -> bool:
        shutil.rmtree(environment.folder)
        shutil.copytree(made.folder, environment.folder, symlinks=True)
        return killed_when(code, lambda: package.is_dir() and len(os.listdir(package)) > 20)

    assert any(attempt() for _ in range(5)), "on this machine it is always too late for a kill"
    wait_until_still(package)
    assert not environment.has_packages([requirements], constraints)
    environment.install([requirements], constraints, tmp_path / "tmp", lambda text: None)
    assert works(environment)


def test_a_package_that_pip_had_not_finished_is_installed_again(environment, offline, tmp_path):
    """pip writes a package's RECORD last: without it, files may be missing although pip finds the package there."""
    requirements, constraints = offline
    environment.install([requirements], constraints, tmp_path / "tmp", lambda text: None)
    site = site_packages(environment)
    (site / "labprobe-1.0.dist-info" / "RECORD").unlink()
    (site / "labprobe" / "m0007.py").unlink()
    assert not works(environment)
    environment.install([requirements], constraints, tmp_path / "tmp", lambda text: None)
    assert works(environment)


def test_an_index_that_cannot_be_reached_is_called_no_network(environment, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_RETRIES", "1")  # the default takes half a minute
    arguments = ["download", "--index-url", f"http://127.0.0.1:{free_port()}/simple", "sampler-lab-is-not-there"]
    with pytest.raises(LabError, match=r"^No network: the package index cannot be reached"):
        run_pip(environment.python, arguments, tmp_path / "tmp", lambda text: None)


def test_what_pip_says_otherwise_is_passed_on(environment, offline, tmp_path):
    requirements, constraints = offline
    other = tmp_path / "constraints.txt"
    other.write_text(constraints.read_text().replace("==1.0", "==9.9"))
    with pytest.raises(LabError, match=r"^pip failed: .*labprobe==9\.9"):
        environment.install([requirements], other, tmp_path / "tmp", lambda text: None)
    assert not environment.has_packages([requirements], other)


def test_another_file_of_the_same_name_is_not_installed(environment, offline, tmp_path):
    requirements, constraints = offline
    shutil.copytree(constraints.parent / "wheels", tmp_path / "wheels")
    (wheel,) = (tmp_path / "wheels").iterdir()
    lock = tmp_path / "constraints.txt"
    lock.write_text(pinned(tmp_path / "wheels", "labprobe==1.0", wheel))
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("labprobe/evil.py", "value = 666\n")
    with pytest.raises(LabError, match=r"^The package index sent another file .*labprobe==1\.0"):
        environment.install([requirements], lock, tmp_path / "tmp", lambda text: None)
    assert not environment.has_packages([requirements], lock)
    assert not (site_packages(environment) / "labprobe").exists()


def test_a_package_without_a_hash_is_not_installed(environment, offline, tmp_path):
    """The form pip enforces: a requirement that nobody pinned does not slip in as the dependency of another."""
    requirements, constraints = offline
    make_wheel(tmp_path / "wheels", requires="labprobe", name="labparent")
    (parent,) = (tmp_path / "wheels").iterdir()
    shutil.copy(next((constraints.parent / "wheels").iterdir()), tmp_path / "wheels")
    lock = tmp_path / "constraints.txt"
    lock.write_text(pinned(tmp_path / "wheels", "labparent==1.0", parent))
    with pytest.raises(LabError, match=r"^pip failed: .*pinned with =="):
        environment.install([requirements], lock, tmp_path / "tmp", lambda text: None)
    assert not (site_packages(environment) / "labprobe").exists()


def test_what_a_comfyui_of_ones_own_wants_is_added_to_what_is_pinned(environment, offline, tmp_path):
    requirements, constraints = offline
    make_wheel(tmp_path / "wheels", name="labforeign")
    own = tmp_path / "requirements.txt"
    own.write_text(f"--no-index\n--find-links {tmp_path / 'wheels'}\nlabforeign\nlabprobe\n")
    environment.install([requirements], constraints, tmp_path / "tmp", lambda text: None, [own])
    assert environment.has_packages([requirements, own], constraints)
    assert works(environment)
    assert (site_packages(environment) / "labforeign").is_dir()


def test_files_that_were_lost_or_changed_are_found_and_installed_again(environment, offline, tmp_path):
    requirements, constraints = offline
    environment.install([requirements], constraints, tmp_path / "tmp", lambda text: None)
    assert environment.damaged(thoroughly=True) == {}
    package = site_packages(environment) / "labprobe"
    (package / "m0007.py").unlink()
    (package / "m0008.py").write_text("")
    assert environment.damaged() == {"labprobe-1.0.dist-info": ["labprobe/m0007.py", "labprobe/m0008.py"]}
    (package / "m0009.py").write_text("value = 8\n")  # as long as it was
    damaged = environment.damaged(thoroughly=True)
    assert damaged == {"labprobe-1.0.dist-info": [f"labprobe/m000{n}.py" for n in (7, 8, 9)]}
    environment.forget(damaged)
    assert not environment.has_packages([requirements], constraints)
    environment.install([requirements], constraints, tmp_path / "tmp", lambda text: None)
    assert environment.damaged(thoroughly=True) == {}
    assert works(environment)


def test_every_requirement_is_pinned_for_every_python_and_system():
    """What the lab and its main host ask for by name, the pins have, in a version that will do."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = places.CONSTRAINTS.read_text(encoding="utf-8").replace("\\\n", "").splitlines()
    pins = [Requirement(line.split("--hash")[0]) for line in lines if line and line[0] not in "# "]
    assert all("--hash=sha256:" in line for line in lines if line and line[0] not in "# ")
    files = [places.PACK_REQUIREMENTS, places.LAB_REQUIREMENTS]
    if host := places.unpacked_host():
        files.append(host / "requirements.txt")
    for file in files:
        wanted = [line.split("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
        for requirement in (Requirement(line) for line in wanted if line):
            for version in ("3.10", "3.11", "3.12", "3.13"):
                for system in ("linux", "darwin", "win32"):
                    about = {"python_version": version, "python_full_version": f"{version}.1", "sys_platform": system}
                    name = canonicalize_name(requirement.name)
                    found = [pin for pin in pins if canonicalize_name(pin.name) == name]
                    found = [pin for pin in found if pin.marker is None or pin.marker.evaluate(about)]
                    assert len(found) == 1, f"{name} on Python {version}, {system}"
                    (pin,) = found[0].specifier
                    assert requirement.specifier.contains(pin.version), f"{name} {pin.version}"


def test_an_interpreter_is_asked_for_its_modules():
    assert has_modules(sys.executable, ["json", "pytest"])
    assert not has_modules(sys.executable, ["json", "no_such_module_anywhere"])
    assert not has_modules("/no/such/python", ["json"])


def test_a_folder_that_lost_its_init_is_no_module(environment, offline, tmp_path):
    requirements, constraints = offline
    environment.install([requirements], constraints, tmp_path / "tmp", lambda text: None)
    assert has_modules(environment.python, ["labprobe"])
    (site_packages(environment) / "labprobe" / "__init__.py").unlink()
    assert not has_modules(environment.python, ["labprobe"])


def test_a_python_without_venv_is_told_what_to_install(tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.modules['ensurepip'] = None\n"
        "import lab; lab.import_pack()\n"
        "from pathlib import Path\nfrom sampler_lab.labkit.environment import Environment\n"
        f"Environment(Path({str(tmp_path / 'venv')!r})).make()"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "LabError: This Python has no venv module: install it (Debian and Ubuntu: apt-get install" in ended.stderr


def test_a_disk_that_is_too_small_is_told_before_anything_is_installed(tmp_path):
    check_space(tmp_path, needed=1)
    with pytest.raises(LabError, match=r"The disk is too small: .* GB are free and the lab needs about 1000000 GB"):
        check_space(tmp_path, needed=1e15)


def test_an_old_python_can_read_lab_py_and_is_told_its_age(capsys, monkeypatch):
    import lab

    ast.parse((ROOT / "lab.py").read_text(encoding="utf-8"), feature_version=(3, 6))
    monkeypatch.setattr(lab, "OLDEST_PYTHON", (99, 1))
    assert lab.main(["demo"]) == 1
    assert "Sampler Lab needs Python 99.1 or newer and this is 3." in capsys.readouterr().err


def killed_when(code: str, happens: Callable[[], bool]) -> bool:
    """Run ``code`` and kill it without warning as soon as ``happens``; False when it was over too soon for that."""
    worker = subprocess.Popen([sys.executable, "-c", code])
    while worker.poll() is None and not happens():
        time.sleep(0.001)
    in_time = worker.poll() is None
    worker.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
    worker.wait()
    return in_time


def wait_until_still(folder: Path) -> None:
    """Until nobody writes into ``folder`` any more: pip goes shortly after the process that started it."""
    before = -1
    while before != (now := len(os.listdir(folder))):
        before = now
        time.sleep(0.3)
