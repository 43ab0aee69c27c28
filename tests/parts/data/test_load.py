import subprocess
import sys

import pytest

from pushforward.core.errors import ConfigError, DataError, UserError
from pushforward.parts.data import Images, Table, load


def complaint(source, **options) -> str:
    with pytest.raises(UserError) as caught:
        load(source, **options)
    return str(caught.value)


@pytest.mark.parametrize("name", ["two_moons", "two-moons", "Two Moons", "TWO_MOONS"])
def test_names_are_read_kindly(name):
    assert load(name).names == ("x0", "x1")


def test_misspelt_names_and_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vinho.csv").write_text("1,2\n")
    assert "expected the name of a data set or a path, got 'two_mons'; did you mean 'two_moons'?" in complaint(
        "two_mons"
    )
    assert "did you mean 'vinho.csv'?" in complaint("vinho")
    assert "pushforward.data.names() lists the names" in complaint("qqqqqqqq")
    assert "found none; did you mean 'vinho.csv'?" in complaint("vino.csv")
    assert "found none; did you mean 'vinho.csv'?" in complaint(tmp_path / "vinho.cvs")
    assert "but there is no folder" in complaint(tmp_path / "nowhere" / "x.csv")
    (tmp_path / "x.xlsx").write_text("")
    assert "expected a file ending in .csv, .tsv," in complaint(tmp_path / "x.xlsx")


def test_a_name_wins_over_a_file_and_a_path_over_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert isinstance(load("digits"), Images)
    with pytest.raises(DataError, match="an empty folder"):
        load("./digits")


def test_suffixes_in_capitals(tmp_path):
    (tmp_path / "T.CSV").write_text("1,2\n3,4\n")
    assert isinstance(load(tmp_path / "T.CSV"), Table)


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("two_moons", {"resize": 8}),
        ("two_moons", {"mode": "L"}),
        ("two_moons", {"label": "y"}),
        ("two_moons", {"part": "train"}),
        ("two_moons", {"header": True}),
        ("digits", {"given": "x0"}),
        ("digits", {"label": "y"}),
        ("digits", {"part": "test"}),
        ("sines", {"drop": "x"}),
        ("t.csv", {"part": "train"}),
        ("t.csv", {"label": "y"}),
        ("t.csv", {"resize": 8}),
    ],
)
def test_options_that_do_not_apply_are_refused(source, options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("1,2\n3,4\n")
    with pytest.raises(ConfigError, match=next(iter(options))):
        load(source, **options)


def test_images_by_name_are_resized_and_converted():
    assert tuple(load("digits", resize=(4, 6), mode="RGB").shape) == (3, 4, 6)
    assert load("digits", drop="labels").labels is None
    for wrong in ((1, 2, 3), 0, (4.5, 4)):
        with pytest.raises((ConfigError, Exception), match="resize"):
            load("digits", resize=wrong)


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text("1,2\n")

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(DataError, match="got: Permission denied; check who may read it"):
        load(path)


def test_importing_the_package_loads_no_reader():
    code = ("import sys, pushforward.parts.data; "
            "print([m for m in ('sklearn', 'PIL', 'pyarrow', 'scipy', 'matplotlib') if m in sys.modules])")  # fmt: skip
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
