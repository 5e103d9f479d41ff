"""What CONTRIBUTING.md says is enough: each section, applied to a copy of the repository, passes its own command."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest
from contributing import copy_of_the_repository, sections

SECTIONS = sections()
#: What is shown inside a host has a test of its own there.
WITHOUT_HOST = [title for title, section in SECTIONS.items() if "tests/host/" not in section.command]


def test_every_kind_of_thing_has_its_section():
    kinds = ("sampler", "schedule", "operator", "noise model", "data step", "move", "experiment", "node")
    assert [title.split(" ", 1)[1] for title in SECTIONS] == list(kinds)


def test_nothing_takes_more_than_two_files():
    assert {title: section.files for title, section in SECTIONS.items() if len(section.files) > 2} == {}


@pytest.mark.parametrize("title", WITHOUT_HOST)
def test_the_lines_are_enough(title, tmp_path):
    section, root = SECTIONS[title], copy_of_the_repository(tmp_path / "copy")
    section.apply(root)
    arguments = ["-q", "-m", "not host", "-o", f"cache_dir={tmp_path}", *shlex.split(section.command)]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=root,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-3000:]
    assert " passed" in ended.stdout, "the command ran no test"


@pytest.mark.parametrize("title", WITHOUT_HOST)
def test_the_lines_are_as_clean_as_the_rest(title, tmp_path):
    section, root = SECTIONS[title], copy_of_the_repository(tmp_path / "copy")
    section.apply(root)
    ended = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", *section.files], cwd=root, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout
