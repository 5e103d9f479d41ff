"""The host archive: checked, unpacked whole or not at all, and nothing ever written outside its folder."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from sampler_lab.labkit.archive import (
    HOST_ARCHIVES,
    HostArchive,
    damaged_files,
    host_archive,
    sha256_of,
    unpack,
    verified,
)
from sampler_lab.labkit.errors import LabError
from sampler_lab.labkit.places import OLDEST_HOST

ROOT = Path(__file__).resolve().parents[2]
KILL = signal.SIGKILL if os.name != "nt" else signal.SIGTERM
FILES = {
    "pack-1/README": b"not wanted",
    "pack-1/vendor/Host/main.py": b"print('up')\n",
    "pack-1/vendor/Host/comfy/cli_args.py": b"",
}


def make_tar(path: Path, files: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return path


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("make", "name"), [(make_tar, "a.tar.gz"), (make_zip, "a.whl")])
def test_only_the_wanted_folder_is_unpacked_without_what_is_left_out(tmp_path, make, name):
    archive = make(tmp_path / name, {**FILES, "pack-1/vendor/Host/extra.yaml": b"no"})
    unpack(archive, "pack-1/vendor/Host", tmp_path / "host", leave_out=("extra.yaml",))
    assert tree(tmp_path / "host") == {"main.py": b"print('up')\n", "comfy/cli_args.py": b""}
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, "host"]


@pytest.mark.parametrize("unsafe", ["pack-1/vendor/Host/../../../../evil", "/evil", "..\\evil", "C:/evil"])
@pytest.mark.parametrize(("make", "name"), [(make_tar, "a.tar.gz"), (make_zip, "a.whl")])
def test_an_archive_that_leads_out_of_the_folder_is_refused(tmp_path, make, name, unsafe):
    archive = make(tmp_path / name, {**FILES, unsafe: b"evil"})
    with pytest.raises(LabError, match="unsafe path"):
        unpack(archive, "pack-1/vendor/Host", tmp_path / "in" / "host")
    assert not (tmp_path / "in" / "host").exists()
    assert not list(tmp_path.rglob("*evil*"))


def test_links_in_an_archive_are_refused(tmp_path):
    archive = make_tar(tmp_path / "a.tar.gz", FILES, links={"pack-1/vendor/Host/out": "/etc"})
    with pytest.raises(LabError, match="link or device"):
        unpack(archive, "pack-1/vendor/Host", tmp_path / "host")
    assert not (tmp_path / "host").exists()


def test_a_cut_off_archive_is_named_as_damaged(tmp_path):
    archive = make_tar(tmp_path / "a.tar.gz", {**FILES, "pack-1/vendor/Host/noise": os.urandom(200_000)})
    archive.write_bytes(archive.read_bytes()[:100_000])
    with pytest.raises(LabError, match=r"a\.tar\.gz is damaged"):
        unpack(archive, "pack-1/vendor/Host", tmp_path / "host")
    assert not (tmp_path / "host").exists()


def test_an_archive_without_the_folder_is_refused(tmp_path):
    with pytest.raises(LabError, match="no folder elsewhere"):
        unpack(make_zip(tmp_path / "a.whl", FILES), "elsewhere", tmp_path / "host")


@pytest.mark.parametrize("at", [1, 250, 500])
def test_unpacking_that_was_killed_is_done_again_in_full(tmp_path, at):
    """Killed while it opens its first, a middle and its last file."""
    files = {f"pack-1/vendor/Host/{i:04}.py": os.urandom(400) for i in range(500)}
    archive = make_tar(tmp_path / "a.tar.gz", files)
    host = tmp_path / "host"
    code = (
        f"import os, signal, sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "import lab; lab.import_pack()\n"
        "from pathlib import Path\nfrom sampler_lab.labkit.archive import unpack\n"
        "opened = []\n"
        "def kill(event, arguments):\n"
        "    if event == 'open' and 'host.unpacking' in str(arguments[0]):\n"
        "        opened.append(arguments[0])\n"
        f"        if len(opened) == {at}:\n"
        f"            os.kill(os.getpid(), {int(KILL)})\n"
        "sys.addaudithook(kill)\n"
        f"unpack(Path({str(archive)!r}), 'pack-1/vendor/Host', Path({str(host)!r}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode != 0
    assert not host.exists(), "a half-unpacked host must not bear the final name"
    assert len(list((tmp_path / "host.unpacking").iterdir())) == at - 1

    unpack(archive, "pack-1/vendor/Host", host)
    assert tree(host) == {name.rsplit("/", 1)[1]: content for name, content in files.items()}
    assert not (tmp_path / "host.unpacking").exists()


class Index:
    """A package index that is a folder: 'downloads' are copies of one file, counted."""

    def __init__(self, file: Path) -> None:
        self.file, self.asked = file, 0

    def __call__(self, wanted: HostArchive, into: Path) -> None:
        self.asked += 1
        shutil.copy(self.file, into / wanted.file)


@pytest.fixture
def archive(tmp_path) -> HostArchive:
    file = make_tar(tmp_path / "made.tar.gz", FILES)
    return HostArchive("9.9.9", "pack==1", "pack-1.tar.gz", sha256_of(file), "pack-1/vendor/Host")


def test_an_archive_is_downloaded_once(tmp_path, archive):
    index = Index(tmp_path / "made.tar.gz")
    first = verified(archive, tmp_path / "cache", index)
    second = verified(archive, tmp_path / "cache", index)
    assert first == second == tmp_path / "cache" / "pack-1.tar.gz"
    assert index.asked == 1


def test_a_wrong_checksum_is_reported_and_nothing_is_kept(tmp_path, archive):
    other = make_tar(tmp_path / "other.tar.gz", {"pack-1/vendor/Host/main.py": b"changed"})
    with pytest.raises(LabError, match=f"checksum of pack-1.tar.gz is wrong: {sha256_of(other)} instead of"):
        verified(archive, tmp_path / "cache", Index(other))
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_kept_archive_that_rotted_is_downloaded_again(tmp_path, archive):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "pack-1.tar.gz").write_bytes(b"rot")
    index = Index(tmp_path / "made.tar.gz")
    assert sha256_of(verified(archive, tmp_path / "cache", index)) == archive.sha256
    assert index.asked == 1


def test_a_download_that_was_killed_leaves_no_trace(tmp_path, archive):
    incoming = tmp_path / "cache" / "incoming"
    incoming.mkdir(parents=True)
    (incoming / "pack-1.tar.gz").write_bytes(b"half of i")
    verified(archive, tmp_path / "cache", Index(tmp_path / "made.tar.gz"))
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["pack-1.tar.gz"]


def test_files_that_are_gone_cut_short_or_changed_are_found_and_unpacked_again(tmp_path):
    archive = make_tar(tmp_path / "a.tar.gz", {**FILES, "pack-1/vendor/Host/whole.py": b"1"})
    host = tmp_path / "host"
    unpack(archive, "pack-1/vendor/Host", host)
    assert damaged_files(archive, "pack-1/vendor/Host", host) == []
    (host / "main.py").write_bytes(b"")
    (host / "comfy" / "cli_args.py").unlink()
    (host / "a.user.put.this.here").write_bytes(b"2")
    assert damaged_files(archive, "pack-1/vendor/Host", host) == ["main.py", "comfy/cli_args.py"]
    unpack(archive, "pack-1/vendor/Host", host)
    assert damaged_files(archive, "pack-1/vendor/Host", host) == []


def test_an_unknown_version_is_answered_with_those_there_are():
    with pytest.raises(LabError, match=r"no ComfyUI 1\.2\.3 to fetch: choose one of 0\.30\.0, .*0\.16\.3"):
        host_archive("1.2.3")


def test_a_version_that_is_too_old_is_not_offered():
    assert all(_numbers(each.version) >= _numbers(OLDEST_HOST) for each in HOST_ARCHIVES)
    with pytest.raises(LabError, match=r"ComfyUI 0\.3\.75 is too old: Sampler Lab needs ComfyUI >= 0\.16\.3"):
        host_archive("0.3.75")


def test_the_oldest_host_is_the_one_that_the_registry_is_told():
    told = re.search(r'^requires-comfyui = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert told[1] == OLDEST_HOST


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def test_every_known_archive_has_a_checksum_of_its_own():
    hashes = {each.sha256 for each in HOST_ARCHIVES}
    assert len(hashes) == len(HOST_ARCHIVES)
    assert all(len(each) == 64 and int(each, 16) for each in hashes)
