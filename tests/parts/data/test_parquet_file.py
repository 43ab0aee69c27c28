import sys

import pytest

from pushforward.core.errors import DataError
from pushforward.parts.data import load

pyarrow = pytest.importorskip("pyarrow", reason="needs pushforward[data]")
parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def saved(tmp_path):
    def save(**columns):
        parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
        return tmp_path / "t.parquet"

    return save


def test_numbers_of_every_type(saved):
    path = saved(a=[1.5, 2.5], b=[1, 2], c=[True, False], d=pyarrow.array([3, 4], pyarrow.decimal128(5, 1)))
    table = load(path)
    assert table.values.tolist() == [[1.5, 1, 1, 3], [2.5, 2, 0, 4]]
    assert [column.kind for column in table.columns] == ["continuous", "integer", "integer", "integer"]


def test_text_and_missing_values(saved):
    path = saved(name=["Ann", "Bob"], age=[31, None], size=[1.5, 2.5])
    with pytest.raises(
        DataError,
        match=r"text in column 'name' \(row 1 has 'Ann'\); and missing values in column 'age' \(the first in row 2",
    ):
        load(path)
    assert load(path, drop="name,age").names == ("size",)
    with pytest.raises(DataError, match="expected drop to name columns"):
        load(path, drop="nmae")
    with pytest.raises(DataError, match="got 2 rows of 0 columns"):
        load(path, drop="name,age,size")


def test_identifiers_are_refused_since_float32_cannot_tell_them_apart(saved):
    with pytest.raises(DataError, match="column 'id', which varies by 1 around"):
        load(saved(id=[2**40, 2**40 + 1]))
    with pytest.raises(DataError, match="column 'id', which varies by"):
        load(saved(id=[2**60, 2**60 + 1000]))


def test_files_that_are_no_parquet(tmp_path):
    (tmp_path / "t.parquet").write_text("no")
    with pytest.raises(DataError, match=r"expected a Parquet file at t\.parquet"):
        load(tmp_path / "t.parquet")


def test_without_pyarrow_the_extra_is_named(saved, monkeypatch):
    path = saved(a=[1.5, 2.5])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"pip install 'pushforward\[data\]'"):
        load(path)
