"""What experiments leave on disk.

    RESULTS/exp1/experiment.json             what was asked
    RESULTS/exp1/tiger-face/metrics.json     what became of one image, beside its pictures
    RESULTS/exp1/broken/error.txt            why an image has no result

An image's folder appears whole or not at all, so whatever is there is finished.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..instruments.metrics_file import load_metrics, row_of, write_json
from ..labkit.errors import LabError
from ..labkit.files import write_whole
from ..labkit.lock import claim
from .experiment import Experiment
from .known_names import from_schema_1

__all__ = ["check_question", "image_folder", "is_finished", "note_failure", "summary_of", "write_question"]

SCHEMA = "sampler-lab/experiment/2"
#: Its options have short names, and all of them are there.
SCHEMA_1 = "sampler-lab/experiment/1"


def write_question(home: Path, experiment: Experiment, images: Iterable[str]) -> None:
    """Write experiment.json; ``images`` are added to those that it has. Raises as :func:`check_question` does."""
    with claim(home / ".experiment.lock", wait=True):
        names = list(dict.fromkeys([*check_question(home, experiment), *images]))
        write_json(home / "experiment.json", {"schema": SCHEMA, **experiment.to_dict(), "images": names})


def check_question(home: Path, experiment: Experiment) -> list[str]:
    """The images in the experiment.json that is there; none where there is none.

    Raises:
        LabError: it asks with other options, or is no experiment.json.
    """
    file = home / "experiment.json"
    if not file.is_file():
        return []
    try:
        there = json.loads(file.read_text(encoding="utf-8"))
        options = from_schema_1(there["options"]) if there["schema"] == SCHEMA_1 else there["options"]
        images = [str(name) for name in there["images"]]
    except (ValueError, KeyError, TypeError):
        raise LabError(f"{file} is not readable as an experiment; move it away, or give another --out.") from None
    if options != experiment.to_dict()["options"]:
        raise LabError(
            f"{home} holds results of other options; give another --out, or the experiment a name of your own."
        )
    return images


def is_finished(folder: Path) -> bool:
    """Whether an image's folder holds the record of a finished run."""
    try:
        metrics = load_metrics(folder / "metrics.json")
    except (OSError, ValueError):
        return False
    return metrics["status"] == "finished" and bool(metrics["quality"])


@contextlib.contextmanager
def image_folder(folder: Path) -> Iterator[Path]:
    """A hidden folder to be filled; it becomes ``folder`` when nothing was raised, and else goes."""
    # Only whoever has claimed the image is here, so what a killed one left under this name is nobody's.
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def note_failure(folder: Path, sentence: str) -> str:
    """Leave error.txt; the words for the console."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "error.txt", f"{sentence}\n".encode())
    return f"failed: {sentence}"


def summary_of(folder: Path) -> str:
    """A finished image in a few words."""
    blind = row_of(load_metrics(folder / "metrics.json")["quality"][0], "blind")["aligned"]["psnr"]
    return f"{'not finite' if blind is None else f'{blind:.1f} dB'} blind, aligned"
