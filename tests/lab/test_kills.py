"""A few kills of every test run; ``kill_campaign.py`` is the whole."""

from __future__ import annotations

import sys

import pytest
from kill_campaign import bad_files, run_campaign

pytestmark = [
    pytest.mark.host,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are found by their environment in /proc"),
]


def test_nothing_is_left_of_commands_that_are_killed(comfyui, tmp_path, monkeypatch):
    monkeypatch.setenv("COMFYUI_PATH", str(comfyui))
    report = run_campaign(4, seed=7, folder=tmp_path, names=["experiment", "serve"], finish=False)
    assert report.kills.total() == 4
    assert report.wrong == []


def test_the_campaign_sees_what_is_wrong(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "a.png").write_bytes(b"")
    (tmp_path / "cut" / "b.json").write_text("{")
    found = bad_files([tmp_path / "empty", tmp_path / "cut"])
    assert [each.split(":")[0].split("/")[-1] for each in sorted(found)] == ["a.png", "b.json", "empty is empty"]
