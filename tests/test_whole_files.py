"""A file that is replaced is the old one or the new one, whatever happens in between."""

import os

import pytest
from sampler_lab.diffusion.files import replacing


def content(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_file_and_its_folder_are_made(tmp_path):
    with replacing(tmp_path / "new" / "a.txt") as hidden:
        assert hidden.parent == tmp_path / "new"
        assert hidden.name.startswith(".")
        hidden.write_text("one")
        assert content(tmp_path / "new") == {hidden.name: "one"}
    assert content(tmp_path / "new") == {"a.txt": "one"}


def test_an_error_leaves_what_was_there(tmp_path):
    def write_half():
        with replacing(tmp_path / "a.txt") as hidden:
            hidden.write_text("half")
            raise KeyError

    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(KeyError):
        write_half()
    assert content(tmp_path) == {"a.txt": "old"}


def test_it_is_on_the_disk_before_it_takes_the_place(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("old")
    order, sync, move = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (order.append("sync"), sync(file))[1])
    monkeypatch.setattr(os, "replace", lambda *names: (order.append("move"), move(*names))[1])
    with replacing(tmp_path / "a.txt") as hidden:
        hidden.write_text("new")
        assert content(tmp_path)["a.txt"] == "old"
    assert order == ["sync", "move"]
    assert content(tmp_path) == {"a.txt": "new"}


def test_nothing_written_is_an_error_and_replaces_nothing(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a.txt"):
        pass
    assert content(tmp_path) == {"a.txt": "old"}
