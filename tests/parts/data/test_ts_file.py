"""`.ts` files: ragged, missing, stamped, and wrong ones."""

import os

import pytest

from pushforward.core.errors import DataError
from pushforward.parts.data import load

FOLDER = os.environ.get("PUSHFORWARD_DATA")
local = pytest.mark.skipif(FOLDER is None, reason="PUSHFORWARD_DATA is not set")
HEADER = "# about\n@problemName Toy\n@timeStamps false\n@classLabel true up down\n@data\n"


def written(tmp_path, text):
    path = tmp_path / "toy.ts"
    path.write_text(text)
    return path


def test_ragged_rows_with_missing_numbers_and_labels(tmp_path):
    series = load(written(tmp_path, HEADER + "1,2,3:4,?,6:down\n\n7,8:9,10:up\n"))
    assert series.lengths.tolist() == [3, 2]
    assert series.labels.tolist() == [1, 0]
    assert series.class_names == ("up", "down")
    assert series.observed[0].tolist() == [[True, True], [True, False], [True, True]]
    assert series.x[1, :2].tolist() == [[7, 9], [8, 10]]


def test_time_stamps_of_channels_are_put_together(tmp_path):
    text = "@timeStamps true\n@classLabel false\n@data\n(0,1),(2.5,?),(4,3):(2.5,9)\n(1,1),(2,2):(1,5)\n"
    series = load(written(tmp_path, text))
    assert series.labels is None
    assert series.t.tolist() == [[0, 2.5, 4], [1, 2, 2]]
    assert series.observed[0].tolist() == [[True, False], [False, True], [True, False]]
    assert series.x[0, 1, 1] == 9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty file"),
        ("@classLabel true a\n", "a header without it"),
        ("1,2,3\n", "begin with @"),
        ("@clasLabel true a\n@data\n", "'@clasLabel' in line 1; did you mean 'classlabel'"),
        (HEADER, "series below @data"),
        (HEADER + "1,2:up\n1,2:upp\n", "got 'upp' in toy.ts, line 7; did you mean 'up'"),
        (HEADER + "1,2\n", "colon and the class"),
        (HEADER + "1,x:up\n", "got 'x' in toy.ts, line 6"),
        (HEADER + "1,2:up\n1,2:3,4:up\n", "1 channels in every series, got 2"),
        ("@targetLabel true\n@data\n1,2:0.5\n1,2:?\n", "finite number to predict .* line 4"),
        ("@targetLabel true\n@data\n1,2\n", "the class or target"),
        ("@timeStamps true\n@data\n1,2\n", "pairs"),
        ("@timeStamps true\n@data\n(1,2),(1,3)\n", "a time twice"),
    ],
)
def test_sentences(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        load(written(tmp_path, text))


def test_numbers_to_predict(tmp_path):
    series = load(written(tmp_path, "@targetLabel true\n@data\n1,2,3:0.5\n4,5:-2e1\n"))
    assert series.targets.tolist() == [[0.5], [-20.0]]
    assert series.labels is None
    assert series.lengths.tolist() == [3, 2]


@local
@pytest.mark.parametrize(
    ("name", "train", "test", "shape"), [("basic_motions", 40, 40, (100, 6)), ("italy_power", 67, 1029, (24, 1))]
)
def test_the_archives_as_their_authors_count_them(name, train, test, shape):
    for part, count in (("train", train), ("test", test)):
        series = load(name, part=part)
        assert len(series) == count
        assert tuple(series.x.shape[1:]) == shape
        assert bool(series.observed.all())
        counts = series.labels.bincount().tolist()
        assert max(counts) - min(counts) <= 3
