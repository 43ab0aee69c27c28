import errno
import os

import pytest

from pushforward.core.errors import DataError, UserError
from pushforward.core.files import replacing, replacing_folder


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "f.txt"
    with replacing(path) as beside:
        beside.write_text("one")
    with pytest.raises(ZeroDivisionError), replacing(path) as beside:
        beside.write_text(f"{1 / beside.write_text('')}")
    assert path.read_text() == "one"
    assert [p.name for p in path.parent.iterdir()] == ["f.txt"]


def test_a_folder_is_made_whole_or_not_at_all(tmp_path):
    path = tmp_path / "d"
    with pytest.raises(ZeroDivisionError), replacing_folder(path) as beside:
        1 / (beside / "a").write_text("")  # one file was begun
    assert not list(tmp_path.iterdir())
    path.mkdir()
    with replacing_folder(path) as beside:
        (beside / "a").write_text("")
    assert [p.name for p in path.iterdir()] == ["a"]
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="which is neither"), replacing_folder(tmp_path / "file"):
        pass


def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "f.txt"
    path.write_text("old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="expected room on the disk to write"), replacing(path) as beside:
        beside.write_text("new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["f.txt"]


def test_a_file_in_the_way_of_a_folder_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="expected to be able to write"), replacing(tmp_path / "file" / "x") as beside:
        beside.write_text("never")
