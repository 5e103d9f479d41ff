"""Find the records in folders, whatever else lies there, and say in few sentences what was left out and why."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..metrics_file import read_json

__all__ = ["LeftOut", "listed", "names_of", "record_files", "short"]

NOTE_OF_FAILURE = "error.txt"
#: Names in one sentence; the rest is counted.
MOST_NAMES = 8
#: By kind: what is said of one, and of several.
_KINDS = {
    "failed": ("1 run failed, so it is left out", "{} runs failed, so they are left out"),
    "cancelled": ("1 run is cancelled, so it is left out", "{} runs are cancelled, so they are left out"),
    "running": (
        "1 run is running or was killed, so it is left out",
        "{} runs are running or were killed, so they are left out",
    ),
    "no table": (
        "1 run has no quality table (connect Compare To Reference), so it is left out",
        "{} runs have no quality table (connect Compare To Reference), so they are left out",
    ),
}


def record_files(folder: Path, problems: list[str] | None = None) -> Iterator[Path]:
    """Records and notes of failure, in a stable order; hidden folders are work in progress.

    Linked folders are read too, each folder once, so that a link in a circle does no harm.

    problems: is told which folders and files cannot be read.
    """
    problems = [] if problems is None else problems
    if folder.is_file():
        yield folder
        return
    seen: set[tuple[int, int]] = set()
    for place, below, names in os.walk(folder, followlinks=True, onerror=lambda error: problems.append(_told(error))):
        facts = os.stat(place)
        if (facts.st_dev, facts.st_ino) in seen:
            below.clear()
            continue
        seen.add((facts.st_dev, facts.st_ino))
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            path = Path(place, name)
            try:
                if not name.startswith(".") and path.is_file() and (name == NOTE_OF_FAILURE or _is_record(path)):
                    yield path
            except OSError as error:
                problems.append(_told(error))


def names_of(file: Path, metrics: dict[str, Any]) -> tuple[str | None, str, str]:
    """What a record calls its experiment (None when nothing was recorded) and its image, and the question asked."""
    name, question = _recorded_experiment(file.parent.parent / "experiment.json")
    picture = file.parent.name if file.name == "metrics.json" else file.stem
    if metrics["experiment"] is not None:
        same = name == metrics["experiment"]
        name, question = metrics["experiment"], question if same else ""
    return _one_line(name), _one_line(metrics["picture"] or picture) or "image", _one_line(question) or ""


def _recorded_experiment(file: Path) -> tuple[str | None, str]:
    """Name and question in an experiment.json; (None, "") when there is none that can be read."""
    try:
        facts = read_json(file) if file.is_file() else {}
    except (OSError, ValueError):
        return None, ""  # the runs beside it can still be read; they are grouped by their settings
    if not isinstance(facts, dict) or not isinstance(facts.get("name"), str):
        return None, ""
    return facts["name"], str(facts.get("question", ""))


class LeftOut:
    """What was not counted: :meth:`add` one at a time, :meth:`sentences` at the end, one for each kind of reason."""

    def __init__(self) -> None:
        self.unreadable: list[str] = []
        self._found: dict[str, dict[str, list[str]]] = {kind: {} for kind in _KINDS}

    def add(self, kind: str, file: Path, reason: str = "") -> None:
        """kind: "failed", "cancelled", "running" or "no table". reason: why; equal ones are told once."""
        self._found[kind].setdefault(reason, []).append(short(file))

    def add_failure(self, note: Path) -> None:
        """A run of which there is only an error.txt."""
        try:
            with note.open(encoding="utf-8", errors="replace") as text:
                reason = _one_line(text.read(400)) or ""
        except OSError as error:
            reason = _told(error)
        self.add("failed", note.parent, reason)

    def sentences(self) -> list[str]:
        """What cannot be read one by one, then one sentence for each kind of what did not finish."""
        told = []
        for kind, (one, several) in _KINDS.items():
            reasons = self._found[kind]
            count = sum(map(len, reasons.values()))
            if count:
                parts = [listed(files) + (f" ({reason})" if reason else "") for reason, files in reasons.items()]
                told.append(f"{one if count == 1 else several.format(count)}: {'; '.join(parts)}.".replace("..", "."))
        return [*self.unreadable, *told]


def listed(names: list[str]) -> str:
    """``a, b and 3 more``."""
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[:MOST_NAMES])} and {len(names) - MOST_NAMES} more"


def short(path: Path, parts: int = 3) -> str:
    """The end of a path, which is what tells runs apart."""
    return "/".join(path.parts[-parts:])


def _is_record(path: Path) -> bool:
    """Whether a file is, or was meant to be, a record: metrics.json, or JSON whose beginning names the schema."""
    if path.name == "metrics.json":
        return True
    if path.suffix != ".json":
        return False
    with path.open("rb") as file:
        return b'"sampler-lab/metrics/' in file.read(200)


def _one_line(text: str | None) -> str | None:
    """Names come from files of anybody; a line break in one would end a table's row."""
    return None if text is None else " ".join(text.split())[:200]


def _told(error: OSError) -> str:
    return f"{error.filename} cannot be read: {error.strerror or error}."
