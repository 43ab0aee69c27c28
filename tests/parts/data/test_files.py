import pytest

from pushforward.core.errors import DataError
from pushforward.parts.data.files import as_names, did_you_mean, listed, replacing, replacing_folder


def test_lists_of_names():
    assert as_names("a, b ,c") == as_names(["a", "b", " c"]) == ("a", "b", "c")
    assert as_names("") == as_names(()) == ()
    assert listed(["a"]) == "'a'"
    assert listed(["a", "b"]) == "'a' and 'b'"
    assert listed([]) == ""
    assert listed(list("abcdef"), 2) == "'a', 'b' and 4 more"


def test_did_you_mean_ignores_case():
    assert did_you_mean("WINE.csv", ["Wine.CSV", "x"]) == "; did you mean 'Wine.CSV'?"
    assert did_you_mean("qqq", ["Wine.CSV"]) == ""


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
