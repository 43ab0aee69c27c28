"""Records cut into windows: nothing that a test forecasts was trained on."""

import pytest
import torch

from pushforward.core.errors import DataError
from pushforward.lab.report.series_model import last_hidden
from pushforward.lab.runs.records import horizon_of, is_record, split_record, window_length
from pushforward.lab.runs.run import split
from pushforward.parts.data import Series


@pytest.mark.parametrize("count", [16, 21, 100, 720])
def test_what_is_forecast_was_never_trained_on(count):
    record = Series.of(range(1000, 1000 + count), torch.arange(float(count))[None] + 0.5)
    train, held, test = split(record, 0)
    assert is_record(record)
    length = window_length(record)
    assert {part.t.shape[1] for part in (train, held, test)} == {length}
    seen = {float(x) for part in (train, held) for x in part.x.flatten()}
    assert max(seen) < 0.81 * count + 1
    batch = test.take(torch.arange(len(test)))
    hidden = last_hidden(batch)
    told = batch.x[hidden].tolist()
    assert hidden.sum((1, 2)).tolist() == [horizon_of(length)] * len(test)
    assert not seen & set(told)
    assert len(set(told)) == len(told)  # every instant is forecast once
    assert max(told) == count - 0.5
    assert bool((test.t[:, 0] == 0).all())


def test_records_of_different_length_all_give_windows():
    rows = [torch.arange(float(n)) + 1000 * n for n in (20, 45)]
    series = Series.ragged([range(20), range(45)], rows)
    train, _, test = split_record(series)
    assert {int(x) // 1000 for x in train.x.flatten()} == {20, 45}
    assert {int(x) // 1000 for x in test.x.flatten()} == {20, 45}


def test_sentences():
    with pytest.raises(DataError, match="records of at least 16 instants, got 2 series, of which number 2 has 5"):
        split(Series.ragged([range(20), range(5)], [torch.ones(20), torch.ones(5)]), 0)
    with pytest.raises(DataError, match="at least 10 rows"):
        split(Series.of(range(30), torch.ones(4, 30), None, [0, 1, 0, 1]), 0)
