"""The host's folders: which files a dropdown offers, where a file lies, where the next result goes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

__all__ = [
    "check_prefix",
    "files_with",
    "find_file",
    "model_folders",
    "next_output_file",
    "next_run_file",
    "output_file",
    "output_folder",
    "output_name",
]


#: Measurement files that ship with the pack, so that a template can load one on a fresh machine.
EXAMPLES = Path(__file__).resolve().parent.parent / "operators" / "examples"
_EXAMPLE = " [example]"


def files_with(extensions: Iterable[str]) -> list[str]:
    """Files in the host's input and output folders (subfolders too) whose names end in one of ``extensions``.

    Named as the host names them: ``sub/file.npz`` in the input folder, ``sub/file.npz [output]`` in the output folder.
    Behind them come the pack's own, ``file.npz [example]``.
    """
    import folder_paths

    endings = tuple(extension.lower() for extension in extensions)
    names: list[str] = []
    for folder, label in ((folder_paths.get_input_directory(), ""), (folder_paths.get_output_directory(), " [output]")):
        found = []
        for place, subfolders, files in os.walk(folder):  # an output folder may hold 100,000 pictures: no stat for each
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            found += [Path(place, name) for name in files if name.lower().endswith(endings) and name[0] != "."]
        names += sorted(path.relative_to(folder).as_posix() + label for path in found)
    return names + sorted(path.name + _EXAMPLE for path in EXAMPLES.iterdir() if path.name.lower().endswith(endings))


def find_file(name: str) -> Path:
    """The path of a file named as :func:`files_with` names it.

    Raises:
        ValueError: outside the host's folders, or not there.
    """
    import folder_paths

    if name.endswith(_EXAMPLE):
        example = EXAMPLES / Path(name.removesuffix(_EXAMPLE)).name
        if example.is_file():
            return example
    elif name and folder_paths.exists_annotated_filepath(name):
        # Hosts before 0.20 do not check by themselves that the path stays inside the folder.
        path = Path(folder_paths.get_annotated_filepath(name)).resolve()
        roots = (
            folder_paths.get_input_directory(),
            folder_paths.get_output_directory(),
            folder_paths.get_temp_directory(),
        )
        if path.is_file() and any(path.is_relative_to(Path(root).resolve()) for root in roots):
            return path
    raise ValueError(
        f"file {name!r} was not found; put it into ComfyUI's input folder, press R to refresh the list, and choose it."
    )


def check_prefix(prefix: str, name: str = "filename_prefix") -> None:
    """Raise a ``ValueError`` that calls the prefix ``name`` when it is empty or leads out of the output folder."""
    import folder_paths

    root = Path(folder_paths.get_output_directory()).resolve()
    if not prefix.strip() or prefix.strip().endswith(("/", "\\")):
        raise ValueError(f"{name} is empty; give a name such as measurement/first.")
    if not (root / prefix).resolve().is_relative_to(root):
        raise ValueError(f"{name} {prefix!r} leads out of the output folder; use a path inside it.")


def next_output_file(prefix: str, extension: str) -> tuple[Path, str]:
    """A new numbered path in the output folder, ``prefix_00001.extension``, and its name relative to that folder.

    Raises:
        ValueError: the prefix is empty or leads out of the output folder.
    """
    import folder_paths

    check_prefix(prefix)
    root = Path(folder_paths.get_output_directory())
    folder, name, counter, _, _ = folder_paths.get_save_image_path(prefix, str(root))
    path = Path(folder) / f"{name}_{counter:05}{extension}"
    while path.exists():  # hosts before 0.20 count only files named as their own nodes name them
        counter += 1
        path = Path(folder) / f"{name}_{counter:05}{extension}"
    return path, path.relative_to(root).as_posix()


def next_run_file(prefix: str, name: str = "metrics.json") -> Path:
    """Where the next run under ``prefix`` is recorded: ``name`` in a new folder, ``prefix_00001/metrics.json``.

    The folder is made, so nobody else is given it. Runs of release 0.1.0 (``prefix_00001.json``) count as well.

    Raises:
        ValueError: the prefix is empty or leads out of the output folder.
    """
    import folder_paths

    check_prefix(prefix)
    root = folder_paths.get_output_directory()
    parent, stem, counter, _, _ = folder_paths.get_save_image_path(prefix, root)
    # The count of hosts before 0.20 leaves out names with an ending.
    numbered = re.compile(re.escape(stem) + r"_(\d+)(\.json)?")
    taken = [int(found[1]) for path in Path(parent).iterdir() if (found := numbered.fullmatch(path.name))]
    counter = max([counter - 1, *taken]) + 1
    while True:
        folder = Path(parent) / f"{stem}_{counter:05}"
        try:
            folder.mkdir(parents=True)
            return folder / name
        except FileExistsError:  # another server was quicker
            counter += 1


def output_folder(name: str) -> Path:
    """The folder ``name`` of the output folder; "" is that folder itself.

    Raises:
        ValueError: it leads out of the output folder, or is not there.
    """
    import folder_paths

    root = Path(folder_paths.get_output_directory()).resolve()
    folder = (root / name.strip()).resolve()
    if not folder.is_relative_to(root):
        raise ValueError(f"folder {name!r} leads out of ComfyUI's output folder; use a folder inside it.")
    if not folder.is_dir():
        raise ValueError(f"there is no folder {name!r} in ComfyUI's output folder; run LatentDAPS first.")
    return folder


def output_file(path: Path) -> dict[str, str]:
    """A file in the output folder as the host's ``/view`` names it."""
    import folder_paths

    place = Path(path).resolve().relative_to(Path(folder_paths.get_output_directory()).resolve())
    return {"filename": place.name, "subfolder": place.parent.as_posix().replace(".", "", 1), "type": "output"}


def output_name(path: Path) -> str:
    """A file in the output folder, as a path within that folder with forward slashes."""
    file = output_file(path)
    return f"{file['subfolder']}/{file['filename']}".lstrip("/")


def model_folders(name: str) -> list[Path]:
    """Where the user keeps models of kind ``name``: the folders registered for it, else ``models/<name>``."""
    import folder_paths

    if name in folder_paths.folder_names_and_paths:
        return [Path(folder) for folder in folder_paths.get_folder_paths(name)]
    return [Path(folder_paths.models_dir) / name]
