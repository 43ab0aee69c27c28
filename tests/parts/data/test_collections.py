import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn import datasets

from pushforward.core.errors import ConfigError, DataError
from pushforward.parts.data import Images, Series, Table, load, names

FOLDER = os.environ.get("PUSHFORWARD_DATA")
local = pytest.mark.skipif(FOLDER is None, reason="PUSHFORWARD_DATA is not set")
TEXT = "workclass,education,marital_status,occupation,relationship,race,sex,native_country,income"


def test_names_say_what_there_is(monkeypatch):
    monkeypatch.delenv("PUSHFORWARD_DATA", raising=False)
    entries = {entry.name: entry for entry in names()}
    assert entries["digits"].available
    assert not entries["mnist"].available
    assert "a subset" in entries["cifar10"].summary
    assert str(entries["mnist"]).endswith("[not here: set PUSHFORWARD_DATA to a folder with mnist.npz]")
    assert all(entry.summary and "\n" not in str(entry) for entry in entries.values())


@pytest.mark.parametrize("entry", [e for e in names() if not e.files and e.kind != "functions"], ids=lambda e: e.name)
def test_what_needs_no_file_loads(entry):
    data = load(entry.name)
    assert isinstance(data, {"table": Table, "images": Images, "series": Series}[entry.kind])
    data.require_fittable()


def test_function_sets_load_by_name():
    assert len(load("sines")) == 4096


def test_tables_are_those_of_scikit_learn():
    for name in ("iris", "wine", "breast_cancer", "diabetes"):
        options = {"scaled": False} if name == "diabetes" else {}
        found = getattr(datasets, f"load_{name}")(**options)
        table = load(name)
        assert np.array_equal(table.values[:, :-1].numpy(), found.data.astype(np.float32))
        assert np.array_equal(table.values[:, -1].numpy(), found.target)
    assert load("iris", drop="species,petal_width").names == ("sepal_length", "sepal_width", "petal_length")
    assert load("iris", given="species").condition_names == ("species",)


def test_digits_are_those_of_scikit_learn():
    images, found = load("digits"), datasets.load_digits()
    assert images.levels == 17
    assert images.classes == 10
    assert tuple(images.shape) == (1, 8, 8)
    assert np.array_equal(images.pixels[:, 0].numpy(), found.images)
    assert np.array_equal(images.labels.numpy(), found.target)


def test_what_is_not_here_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.delenv("PUSHFORWARD_DATA", raising=False)
    with pytest.raises(DataError, match=r"PUSHFORWARD_DATA to name a folder with mnist\.npz .* but it is not set"):
        load("mnist")
    monkeypatch.setenv("PUSHFORWARD_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"expected tabular/winequality-red\.csv in"):
        load("wine_red")


def test_local_sets_of_the_right_form_load(monkeypatch, tmp_path):
    monkeypatch.setenv("PUSHFORWARD_DATA", str(tmp_path))
    pictures, labels = np.arange(2 * 28 * 28).reshape(2, 28, 28).astype(np.uint8), np.array([3, 9])
    np.savez(tmp_path / "mnist.npz", x_train=pictures, y_train=labels, x_test=pictures[:1], y_test=labels[:1])
    np.savez(tmp_path / "freyfaces.npz", x=np.arange(3 * 560).reshape(3, 560).astype(np.uint8))
    np.savez(tmp_path / "omniglot_small.npz", x28=pictures, alphabet=np.array(["Greek", "Latin"]),
             character=np.array(["c1", "c1"]), drawer=np.array([1, 2]))  # fmt: skip
    assert len(load("mnist")) == 2
    assert len(load("mnist", part="test")) == 1
    assert tuple(load("freyfaces").shape) == (1, 28, 20)
    assert load("omniglot").class_names == ("Greek/c1", "Latin/c1")
    assert load("omniglot", label="alphabet").class_names == ("Greek", "Latin")
    with pytest.raises(ConfigError, match="expected label alphabet, character or drawer"):
        load("omniglot", label="writer")
    with pytest.raises(
        ConfigError, match="expected one of its parts train, test for the data set 'mnist', got part='valid'"
    ):
        load("mnist", part="valid")
    with pytest.raises(ConfigError, match="expected no part, since it is not divided"):
        load("freyfaces", part="test")


def test_a_file_that_is_not_the_original_is_noticed(monkeypatch, tmp_path):
    monkeypatch.setenv("PUSHFORWARD_DATA", str(tmp_path))
    (tmp_path / "tabular").mkdir()
    (tmp_path / "tabular" / "winequality-red.csv").write_text("1.5,2\n3,4\n")
    with pytest.raises(DataError, match=r"expected 12 columns in winequality-red\.csv, got 2"):
        load("wine_red")


@local
@pytest.mark.local_data
@pytest.mark.parametrize(
    ("name", "rows", "shape"),
    [
        ("mnist", 60_000, (1, 28, 28)),
        ("cifar10", 15_000, (3, 32, 32)),
        ("smiles", 13_165, (1, 64, 64)),
        ("freyfaces", 1965, (1, 28, 20)),
        ("omniglot", 4840, (1, 28, 28)),
        ("nltcs", 16_181, (16,)),
        ("plants", 17_412, (69,)),
        ("baudio", 15_000, (100,)),
        ("wine_red", 1599, (12,)),
        ("wine_white", 4898, (12,)),
    ],
)
def test_the_real_sets(name, rows, shape):
    data = load(name)
    assert len(data) == rows
    assert tuple(data.event_shape) == shape
    # The first of the plants grows nowhere.
    (data.drop("x0") if name == "plants" else data).require_fittable()


@local
@pytest.mark.local_data
def test_the_real_wines_have_their_kinds():
    kinds = {column.name: column.kind for column in load("wine_red").columns}
    assert kinds["quality"] == "integer"
    assert kinds["pH"] == "continuous"
    assert abs(float(load("wine_red").values[:, 10].mean()) - 10.423) < 1e-3


@local
@pytest.mark.local_data
def test_the_real_tables_with_text():
    with pytest.raises(DataError, match=r"text in column 'sex' \(row 1 has 'M'\)"):
        load("abalone")
    assert load("abalone", drop="sex", given="rings").features == 7
    with pytest.raises(DataError, match=f"text in columns 'workclass', 'education'.*--set drop={TEXT}"):
        load("adult")
    assert len(load("adult", drop=TEXT)) == 32_561
    assert len(load("adult", part="test", drop=TEXT)) == 16_281


@local
@pytest.mark.local_data
def test_a_real_file_with_the_header_of_its_source(tmp_path):
    """The files of the repository come with semicolons and a quoted header; put both back."""
    original = (Path(FOLDER) / "tabular" / "winequality-white.csv").read_text()
    shutil.copy(Path(FOLDER) / "tabular" / "winequality-white.csv", tmp_path / "plain.csv")
    header = ";".join(f'"{name.replace("_", " ")}"' for name in load("wine_white").names)
    (tmp_path / "wine.csv").write_text(header + "\n" + original.replace(",", ";"))
    table = load(tmp_path / "wine.csv")
    assert table.names[0] == "fixed acidity"
    assert (table.values == load(tmp_path / "plain.csv").values).all()
