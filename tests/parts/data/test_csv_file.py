import csv

import numpy as np
import pytest
import torch

from pushforward.core.errors import DataError
from pushforward.parts.data import load, write_csv
from pushforward.parts.data.csv_file import read_csv

WINE = '"fixed acidity";"volatile acidity";"quality"\n7.4;0.7;5\n7.8;0.88;5\n11.2;0.28;6\n'


@pytest.fixture
def written(tmp_path):
    def write(text, name="t.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return path

    return write


def complaint(path, **options) -> str:
    with pytest.raises(DataError) as caught:
        load(path, **options)
    message = str(caught.value)
    assert message.startswith("expected")
    assert "\n" not in message
    return message


def test_semicolons_quotes_and_a_header_as_in_the_wine_files(written):
    table = load(written(WINE))
    assert table.names == ("fixed acidity", "volatile acidity", "quality")
    assert [column.kind for column in table.columns] == ["continuous", "continuous", "integer"]
    torch.testing.assert_close(table.values, torch.tensor([[7.4, 0.7, 5], [7.8, 0.88, 5], [11.2, 0.28, 6]]))


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2.5\n3,4.5\n",
        "a,b\r\n1,2.5\r\n3,4.5\r\n",
        "a,b\r1,2.5\r3,4.5\r",
        "a\tb\n1\t2.5\n3\t4.5",
        "a|b\n1|2.5\n3|4.5",
        "a b\n1   2.5\n3 4.5\n",
        "\ufeffa,b\n1,2.5\n3,4.5\n",
        "\n\na,b\n\n1,2.5\n  \n3,4.5\n\n",
        "# made today\n# a,b\n1,2.5\n3,4.5\n",
        "# made today\na,b\n1,2.5\n3,4.5\n",
        "a, b\n1, 2.5\n 3 , 4.5\n",
        '"a","b"\n"1","2.5"\n"3","4.5"\n',
        "a;b\n1;2,5\n3;4,5\n",
        "a,b,\n1,2.5,\n3,4.5,\n",
        "a,b\n+1,25e-1\n3.,.45e1\n",
    ],
    ids=["comma", "crlf", "cr", "tab", "bar", "blanks", "bom", "empty lines", "commented header", "comment", "spaces",
         "quotes", "decimal comma", "trailing comma", "notation"],
)  # fmt: skip
def test_every_way_of_writing_one_table(written, text):
    table = load(written(text))
    assert table.names == ("a", "b")
    assert table.values.tolist() == [[1, 2.5], [3, 4.5]]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-16"])
def test_encodings_of_names(written, encoding):
    assert load(written("größe,b\n1,2\n3,4\n", encoding=encoding)).names == ("größe", "b")


def test_a_byte_that_is_no_utf8_far_below_the_sniffed_rows(written):
    rows = b"1,2." + b"0" * 300 + b"\n"
    message = complaint(written(b"a,b\n" + rows * 1000 + b"\xe9,2\n"))
    assert "'é' in row 1001 (line 1002 of the file) of column 'a'" in message


def test_without_a_header(written):
    assert load(written("1,2.5\n3,4.5\n")).names == ("x0", "x1")
    assert load(written("1\n2\n3\n")).values.tolist() == [[1], [2], [3]]
    assert load(written("7.1\n")).values.tolist() == [[pytest.approx(7.1)]]


def test_the_judgement_of_the_header_can_be_overruled(written):
    years = written("2019,2020\n1,2\n3,4\n")
    assert len(load(years)) == 3
    assert load(years, header=True).names == ("2019", "2020")
    assert "'a' in row 1 of column 'x0'" in complaint(written("a,b\n1,1\n2,2\n"), header=False)


def test_a_header_with_a_line_break_inside_quotes(written):
    table = load(written('"a\nlong",b\n1,2\n3,4\n'))
    assert table.names == ("a\nlong", "b")
    assert table.values.tolist() == [[1, 2], [3, 4]]


def test_columns_of_text_can_be_left_out(written):
    path = written("name,age,city\nAnn,31,Rome\nBob,42,Oslo\n")
    message = complaint(path)
    assert "text in columns 'name' and 'city' (row 1 (line 2 of the file) has 'Ann')" in message
    assert "drop=['name', 'city'] (on the command line: --set drop=name,city)" in message
    assert load(path, drop="name,city").values.tolist() == [[31], [42]]
    assert load(path, drop=["name", "city"]).names == ("age",)


def test_a_long_cell_is_cut_in_the_sentence(written):
    assert "'" + "w" * 37 + "...'" in complaint(written(f"a,b\n{'w' * 99},1\n{'v' * 99},2\n"))


def test_underscores_make_no_numbers(written):
    assert "'1_000' in row 2" in complaint(written("a\n5\n1_000\n6\n"))


def test_commas_between_thousands_are_not_taken_for_decimal_commas(written):
    assert "text in column 'b' (row 1 (line 2 of the file) has '1,234')" in complaint(
        written("a\tb\n1\t1,234\n2\t2,500\n")
    )
    assert "has '1,234'" in complaint(written("a;b\n1.5;1,234\n2.5;2,5\n"))
    lines = ["a;b", *(f"{i};{i},5" for i in range(300))]
    lines[200] = "200;2.5"
    assert "'2.5' in row 200 (line 201 of the file) of column 'b'" in complaint(written("\n".join(lines)))


def test_names_with_blanks_are_quoted_for_the_shell(written):
    message = complaint(written("first name,age\nAnn,31\nBob,42\n"))
    assert '--set "drop=first name"' in message


def test_a_stray_cell_is_not_a_column_of_text(written):
    lines = ["a,b", *(f"{i},{i / 2}" for i in range(40))]
    lines[17] = "oops,8"
    message = complaint(written("\n".join(lines)))
    assert "'oops' in row 17 (line 18 of the file) of column 'a', whose other cells are numbers" in message
    assert "correct or delete these rows, or leave the column out with drop=['a']" in message


@pytest.mark.parametrize("marker", ["", "NA", "NaN", "nan", "?", "null", "-", " N/A ", "None"])
def test_missing_values_are_counted_and_placed(written, marker):
    lines = ["a,b", *(f"{i},{i / 2}" for i in range(20))]
    lines[5], lines[9] = f"4,{marker}", f"8,{marker}"
    message = complaint(written("\n".join(lines)))
    assert "missing values in column 'b' (the first in row 5 (line 6 of the file), 2 in all)" in message
    assert "drop=['b']" in message
    assert len(load(written("\n".join(lines)), drop="b")) == 20


def test_text_stray_cells_missing_and_infinite_values_in_one_sentence(written):
    rows = [[str(i), f"w{i}", f"{i / 2}", f"{i}"] for i in range(10)]
    rows[3][0], rows[4][2], rows[6][3] = "?", "inf", "six"
    message = complaint(written("a,b,c,d\n" + "\n".join(",".join(row) for row in rows)))
    for piece in ("text in column 'b'", "'six' in row 7", "missing values in column 'a' (the first in row 4",
                  "infinite numbers in column 'c' (the first in row 5"):  # fmt: skip
        assert piece in message
    assert message.endswith("correct or delete these rows")


def test_a_file_of_nothing_but_text(written):
    message = complaint(written("name,city\nAnn,Rome\nBob,Oslo\n"))
    assert "text in columns 'name' and 'city'" in message
    assert "drop=" not in message


@pytest.mark.parametrize("drop", [(), ("c",)])
def test_ragged_rows_are_named(written, drop):
    short = written("a,b,c\n1,2,3\n4,5\n7,8,9\n")
    assert "expected 3 cells in every row of t.csv, got 2 in row 2 (line 3 of the file)" in complaint(short, drop=drop)
    long = written("a,b,c\n1,2,3\n4,5,6\n7,8,9,10\n")
    assert "got 4 in row 3 (line 4 of the file)" in complaint(long, drop=drop)


def test_header_and_rows_of_different_width(written):
    assert "expected 3 names in the header of t.csv" in complaint(written("a,b\n1,2,3\n4,5,6\n"))


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ("", "got an empty file"),
        ("  \n\n", "got an empty file"),
        ("# nothing\n", "got only comments"),
        ("a,b\n", "got a header and nothing below it"),
        ("a,a\n1,2\n3,4\n", "got 'a' more than once"),
        (bytes(range(256)) * 20, "got binary data"),
        ('a,b\n1,"2\n' + "3,4\n" * 100_000, "never closed"),
    ],
)
def test_files_that_are_no_tables(written, text, piece):
    assert piece in complaint(written(text))


def test_names_that_are_no_columns(written):
    path = written("alpha,beta\n1,2\n3,4\n")
    assert (
        "expected drop to name columns of the table, got 'alhpa', which is none of them; did you mean 'alpha'?"
        in complaint(path, drop="alhpa")
    )
    assert "the columns are 'alpha', 'beta'" in complaint(path, drop="zzz")
    assert "expected given to name columns" in complaint(path, given="gamma")
    assert "got all 2" in complaint(path, drop="alpha,beta")
    assert "as the condition; give fewer" in complaint(path, given="alpha,beta")


def test_an_unnamed_column_that_counts_the_rows_draws_a_warning(written):
    with pytest.warns(UserWarning, match="only numbers the rows"):
        table = load(written(",a\n0,2.5\n1,3.5\n2,1.5\n"))
    assert table.names == ("x0", "a")


def test_names_given_by_the_caller(written):
    path = written("1,2\n3,4\n")
    assert read_csv(path, names=["u", "v"]).names == ("u", "v")
    with pytest.raises(DataError, match=r"expected 3 columns in t\.csv, got 2"):
        read_csv(path, names=["u", "v", "w"])


def test_written_numbers_read_back_the_same(tmp_path):
    values = torch.cat(
        [torch.randn(500, 3) * 10.0 ** torch.randint(-20, 20, (500, 3)), torch.arange(500.0)[:, None]], 1
    )
    write_csv(tmp_path / "t.csv", values, ["a", "b", 'quoted "c", comma', "n"])
    table = load(tmp_path / "t.csv")
    assert table.names == ("a", "b", 'quoted "c", comma', "n")
    assert torch.equal(table.values, values)
    assert [column.kind for column in table.columns] == ["continuous"] * 3 + ["integer"]


def test_whole_columns_are_written_as_whole_numbers(tmp_path):
    write_csv(tmp_path / "t.csv", np.array([[1.0, 0.1], [-2.0, 3.0]]), ["n", "x"])
    assert (tmp_path / "t.csv").read_text() == "n,x\n1,0.1\n-2,3.0\n"
    write_csv(tmp_path / "t.csv", torch.tensor([[float("nan")], [float("-inf")]]), ["score"])
    assert (tmp_path / "t.csv").read_text() == "score\nnan\n-inf\n"
    write_csv(tmp_path / "t.csv", torch.tensor([[0.5], [1.0]], dtype=torch.bfloat16), ["half"])
    assert (tmp_path / "t.csv").read_text() == "half\n0.5\n1.0\n"


def test_writing_a_wrong_shape_leaves_no_file(tmp_path):
    with pytest.raises(DataError, match=r"expected values of shape \(rows, 1\)"):
        write_csv(tmp_path / "t.csv", torch.zeros(2, 2), ["a"])
    assert not list(tmp_path.iterdir())


def test_rows_are_those_of_the_csv_module(tmp_path, written):
    """An oracle of another make, on cells of every length."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, 5)) * 10.0 ** rng.integers(-8, 8, (300, 5))
    path = written("\n".join(",".join(f"{v:.{rng.integers(1, 17)}g}" for v in row) for row in values))
    with path.open() as file:
        expected = np.array([[float(cell) for cell in row] for row in csv.reader(file)]).astype(np.float32)
    assert np.array_equal(load(path).values.numpy(), expected)
