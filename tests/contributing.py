"""CONTRIBUTING.md, taken at its word: its sections, applied to a copy of the repository."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_FILE = re.compile(r"^`([\w/.]+)`:$")


@dataclass
class Section:
    """One kind of thing.

    blocks: (file, kind of block, text), in their order; a block without a file of its own is of the file before.
    command: what shows that it works, the arguments of ``lab.py test``.
    """

    title: str
    blocks: list[tuple[str, str, str]] = field(default_factory=list)
    command: str = ""

    @property
    def files(self) -> list[str]:
        """The files that are touched."""
        return list(dict.fromkeys(file for file, _, _ in self.blocks))

    def apply(self, root: Path) -> None:
        """Do in ``root`` what the section says."""
        for name, kind, text in self.blocks:
            path = root / name
            if kind == "python":
                assert not path.exists(), f"{name} is there already"
                path.write_text(text, encoding="utf-8")
            else:
                path.write_text(_changed(path.read_text(encoding="utf-8"), text, name), encoding="utf-8")


def sections() -> dict[str, Section]:
    """The sections of CONTRIBUTING.md that add something, by their titles."""
    found: dict[str, Section] = {}
    section, file, block = None, "", None
    for line in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines():
        if block is not None:
            if line != "```":
                block[1].append(line)
                continue
            kind, lines = block
            block = None
            if kind in ("python", "diff"):
                section.blocks.append((file, kind, "\n".join(lines) + "\n"))
            else:
                (command,) = lines
                section.command = command.removeprefix("python3 lab.py test ")
        elif line.startswith("## "):
            section = found[line[3:]] = Section(line[3:])
        elif line.startswith("```") and section is not None:
            block = (line[3:], [])
        elif named := _FILE.match(line):
            file = named.group(1)
    return found


def copy_of_the_repository(folder: Path) -> Path:
    """A copy of every tracked file, as it is in the working tree."""
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    return folder


def _changed(source: str, diff: str, name: str) -> str:
    """``source`` with one change: lines with + come in where lines with - go, beside lines that stay."""
    lines = diff.splitlines()
    before = "".join(f"{line[1:]}\n" for line in lines if line[0] in " -")
    after = "".join(f"{line[1:]}\n" for line in lines if line[0] in " +")
    if before not in source:  # the last line may be the beginning of a longer one
        before, after = before[:-1], after[:-1]
    assert source.count(before) == 1, f"{name} has {source.count(before)} places like\n{before}"
    return source.replace(before, after)
