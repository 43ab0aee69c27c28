"""Functions in text files: points of many functions, in any order, of different number."""

import pytest
import torch

from pushforward.core.errors import ConfigError, DataError
from pushforward.parts.data import FunctionSet, load

TEXT = "who,place,height,y\nann,0,1,5\nbob,1,1,6\nann,2,3,7\nann,1,2,8\n"


def written(tmp_path, text=TEXT):
    path = tmp_path / "curves.csv"
    path.write_text(text)
    return path


def test_each_row_is_a_point_of_the_function_that_it_names(tmp_path):
    found = load(written(tmp_path), series="who", given="place,height")
    assert isinstance(found, FunctionSet)
    assert found.mask.tolist() == [[True, True, True], [True, False, False]]
    assert found.x[0].tolist() == [[0, 1], [2, 3], [1, 2]]
    assert found.y[..., 0].tolist() == [[5, 7, 8], [6, 0, 0]]
    assert found.x_dim == 2


def test_columns_may_be_left_out(tmp_path):
    assert load(written(tmp_path), series="who", given="place", drop="height").y.shape == (2, 3, 1)
    assert load(written(tmp_path), series="who", given="place").y.shape == (2, 3, 2)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"series": "who", "given": "where"}, DataError, "expected given to name columns of the table, got 'where'"),
        ({"series": "whom", "given": "place"}, DataError, "expected series to name columns .* did you mean 'who'"),
        ({"series": "who", "given": "place,height,y"}, DataError, "expected a column of numbers beside"),
        ({"series": "who", "given": "place", "part": "test"}, ConfigError, "expected no part"),
        ({"series": "place", "given": "height"}, DataError, "who"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path, options, error, sentence):
    with pytest.raises(error, match=sentence):
        load(written(tmp_path), **options)


def test_a_series_is_a_function_of_time_where_all_channels_were_seen(tmp_path):
    series = load(written(tmp_path, "t,a,b\n0,1,2\n1,,3\n4,5,6\n"), time="t")
    found = FunctionSet.from_series(series)
    assert found.mask.tolist() == [[True, False, True]]
    assert torch.equal(found.x[found.mask], torch.tensor([[0.0], [4.0]]))
    with pytest.raises(DataError, match="in series 0; choose fewer channels"):
        FunctionSet.from_series(load(written(tmp_path, "t,a,b\n0,1,\n1,,3\n"), time="t"))
