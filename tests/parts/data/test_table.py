import numpy as np
import pytest
import torch

from pushforward.core.errors import ConfigError, DataError
from pushforward.parts.data import Column, Table, load


@pytest.fixture
def table() -> Table:
    return Table.of(torch.tensor([[0.5, 1, 3], [0.25, 2, 2], [0.75, 3, 9], [0.1, 5, 7]]), ["a", "b", "c"])


def test_kinds_are_inferred_from_the_numbers():
    table = Table.of([[0, 1.0, 0.5, -3.0], [1, 2.0, 1.0, 1e7]], ["flag", "count", "width", "large"])
    integer = ("integer", 1.0)
    assert [(c.kind, c.step) for c in table.columns] == [integer, integer, ("continuous", 0.0), integer]
    assert table.values.dtype == torch.float32
    assert table.features == 4
    assert table.event_shape == (4,)


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.int64, np.float32, np.float64])
def test_numpy_arrays_of_any_dtype(dtype):
    array = np.array([[0, 1], [1, 1]], dtype=dtype)
    table = Table.of(array)
    assert table.names == ("x0", "x1")
    assert table.values.tolist() == array.astype(float).tolist()
    assert {column.kind for column in table.columns} == {"integer"}
    table.values.add_(1)
    assert array.tolist() == np.array([[0, 1], [1, 1]], dtype=dtype).tolist()


def test_tensors_lists_and_frames():
    assert Table.of(torch.ones(2, 1, dtype=torch.bfloat16, requires_grad=True)).values.tolist() == [[1], [1]]
    assert Table.of([1.5, 2.5]).values.shape == (2, 1)

    class Frame:
        columns = ("u", "v")

        def __array__(self, dtype=None, copy=None):
            return np.array([[1.0, 2.5]])

    assert Table.of(Frame()).names == ("u", "v")


@pytest.mark.parametrize(
    ("array", "piece"),
    [
        (np.zeros((2, 2, 2)), r"shape \(rows, columns\), got \(2, 2, 2\)"),
        (np.zeros((0, 2)), r"got \(0, 2\)"),
        (np.array([["a"]]), "got dtype <U1"),
        (np.array([[object()]]), "got dtype object"),
        (np.array([[1j]]), "got dtype complex128"),
        ([[1, 2], [3]], "rows of equal length"),
        ([[1.0, float("nan")], [2, 3]], r"missing values in column 'x1' \(the first in row 1, the only one\)"),
        ([[1.0, 3], [2, 3], [float("inf"), 3]], r"infinite numbers in column 'x0' \(the first in row 3"),
        ([[1e300], [2e300]], "float32 can tell apart"),
        ([[1e300], [1e300]], "float32 can tell apart"),
        ([[1e-60], [2e-60]], "float32 can tell apart"),
    ],
)
def test_arrays_that_are_no_tables(array, piece):
    with pytest.raises(DataError, match=piece):
        Table.of(array)


def test_names_that_do_not_fit():
    with pytest.raises(DataError, match="expected 2 names"):
        Table.of([[1, 2]], ["a"])
    with pytest.raises(DataError, match="got 'a' more than once"):
        Table.of([[1, 2]], ["a", "a"])
    with pytest.raises(DataError, match="expected a name for each of 2 columns of numbers, got 1"):
        Table(torch.zeros(3, 2), (Column("a", "integer", 1.0),))


def test_time_stamps_are_refused_since_float32_cannot_tell_them_apart():
    with pytest.raises(
        DataError, match=r"column 'time', which varies by 59 around 1700000000; subtract its smallest value"
    ):
        Table.of(np.arange(1_700_000_000, 1_700_000_060)[:, None], ["time"])


def test_large_whole_numbers_become_continuous_with_a_warning():
    with pytest.warns(UserWarning, match=r"'salary' of the array has whole numbers beyond 16777216"):
        table = Table.of(np.array([[1, 10_000_001], [2, 40_000_001]]), ["n", "salary"])
    assert [column.kind for column in table.columns] == ["integer", "continuous"]


def test_given_moves_columns_to_the_condition(table):
    conditional = table.given("c", "a")
    assert conditional.names == ("b",)
    assert conditional.condition_names == ("c", "a")
    assert conditional.condition_shape == (2,)
    assert table.condition_shape is None
    batch = conditional.take(torch.tensor([2, 0]))
    assert batch.x.tolist() == [[3], [1]]
    assert batch.condition.tolist() == [[9, 0.75], [3, 0.5]]
    again = table.given("c").given("a")
    assert again.condition_names == ("c", "a")
    assert torch.equal(again.condition, conditional.condition)
    assert table.given() is table
    assert table.condition is None


def test_drop_leaves_columns_out_wherever_they_are(table):
    assert table.drop("b").names == ("a", "c")
    assert table.given("c").drop("c").condition is None
    assert table.given("b", "c").drop("b").condition_names == ("c",)
    with pytest.raises(DataError, match="got all 3 to leave out"):
        table.drop("a", "b", "c")


def test_kinds_can_be_set(table):
    assert [c.kind for c in table.with_kinds(b="continuous").columns] == ["continuous", "continuous", "integer"]
    assert table.with_kinds({"b": "continuous"}).with_kinds(b="integer").columns == table.columns
    with pytest.raises(DataError, match=r"expected whole numbers up to 16777216 in column 'a', got 0\.5 in row 1"):
        table.with_kinds(a="integer")
    with pytest.raises(ConfigError, match="got 'categorical'"):
        table.with_kinds(a="categorical")
    with pytest.raises(DataError, match="expected with_kinds to name columns"):
        table.with_kinds(z="integer")


def test_split_keeps_rows_together_and_kinds_as_they_were():
    values = torch.arange(300.0).reshape(100, 3) + torch.tensor([0.0, 0.5, 0.0])
    table = Table.of(values, ["a", "b", "c"]).given("c")
    parts = table.split((0.7, 0.2, 0.1), seed=4)
    assert [len(part) for part in parts] == [70, 20, 10]
    rows = torch.cat([torch.cat([part.values, part.condition], 1) for part in parts])
    assert torch.equal(rows[rows[:, 0].argsort()], values)
    assert all(part.columns == table.columns and part.condition_names == ("c",) for part in parts)
    assert torch.equal(table.split((0.7, 0.2, 0.1), seed=4)[2].values, parts[2].values)


def test_to_moves_everything(table):
    moved = table.given("a").to("meta")
    assert moved.values.is_meta
    assert moved.condition.is_meta
    assert moved.names == ("b", "c")


def test_what_cannot_be_fitted():
    rows = torch.arange(20.0)[:, None] * torch.tensor([1.0, 0.0, 2.5])
    Table.of(rows[:, ::2]).require_fittable()
    with pytest.raises(
        DataError, match=r"same number in every row of 'b', which have no density; leave out with drop=\['b'\]"
    ):
        Table.of(rows, ["a", "b", "c"]).require_fittable()
    with pytest.raises(DataError, match="of 'b'"):
        Table.of(rows, ["a", "b", "c"]).given("b").require_fittable()
    with pytest.raises(DataError, match="expected at least 10 rows to fit to, got 1: one row is not enough"):
        Table.of([[1.0, 2.0]]).require_fittable()
    with pytest.raises(DataError, match="got 4: 4 rows are not enough"):
        Table.of(torch.randn(4, 2)).require_fittable(rows=5)


def test_to_csv_writes_values_and_condition(table, tmp_path):
    table.given("b").to_csv(tmp_path / "t.csv")
    back = load(tmp_path / "t.csv")
    assert back.names == ("a", "c", "b")
    assert torch.equal(back.values, table.values[:, [0, 2, 1]])


def test_a_table_shows_itself_in_a_line(table):
    assert repr(table.given("c")) == "Table(4 rows; a, b [integer]; given c)"
    assert repr(Table.of(torch.zeros(2, 20))).endswith("x15 [integer] and 4 more)")
