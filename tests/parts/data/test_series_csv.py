"""Series in text files: wide and long, dates, gaps, labels, and what is wrong with a file."""

import os

import numpy as np
import pytest
import torch

from pushforward.core.errors import ConfigError, DataError
from pushforward.parts.data import load

FOLDER = os.environ.get("PUSHFORWARD_DATA")
local = pytest.mark.skipif(FOLDER is None, reason="PUSHFORWARD_DATA is not set")


def written(tmp_path, text):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    return path


def test_wide_with_gaps(tmp_path):
    series = load(written(tmp_path, "year,a,b\n1900,1,\n1901,NA,5\n1903,3,6\n"), time="year")
    assert series.channel_names == ("a", "b")
    assert series.t.tolist() == [[1900, 1901, 1903]]
    assert series.observed[0].tolist() == [[True, False], [False, True], [True, True]]
    assert (series.time_name, series.time_unit) == ("year", "")


def test_many_series_in_one_file_in_any_interleaving(tmp_path):
    text = "id,t,x,kind\nb,0,1,sick\na,0,10,well\nb,2,2,sick\na,1,11,well\na,5,12,well\n"
    series = load(written(tmp_path, text), time="t", series="id", label="kind")
    assert series.lengths.tolist() == [2, 3]
    assert series.x[1, :, 0].tolist() == [10, 11, 12]
    assert series.class_names == ("sick", "well")
    assert series.labels.tolist() == [0, 1]


def test_labels_with_decimals_are_targets_and_whole_ones_are_classes(tmp_path):
    text = "id,t,x,y\n1,0,1,{}\n1,1,2,{}\n2,0,3,2\n2,1,4,2\n"
    series = load(written(tmp_path, text.format(0.25, 0.25)), time="t", series="id", label="y")
    assert series.targets.tolist() == [[0.25], [2.0]]
    assert series.labels is None
    classes = load(written(tmp_path, text.format("7.0", "7.0")), time="t", series="id", label="y")
    assert classes.targets is None
    assert classes.labels.tolist() == [1, 0]


def test_channels_below_one_another(tmp_path):
    text = "stay,hour,what,number\n1,3,pulse,80\n1,0,pulse,70\n1,0,temperature,37.5\n2,1,temperature,\n2,1,pulse,90\n"
    series = load(written(tmp_path, text), time="hour", series="stay", channel="what", value="number")
    assert series.channel_names == ("pulse", "temperature")
    assert series.t.tolist() == [[0, 3], [1, 1]]
    assert series.observed.tolist() == [[[True, True], [True, False]], [[True, False], [False, False]]]
    assert series.x[0].tolist() == [[70, 37.5], [80, 0]]


@pytest.mark.parametrize(
    ("cells", "times", "unit"),
    [
        (["2020-01", "2020-04", "2021-07"], [2020, 2020.25, 2021.5], "years"),
        (["2020-01-01", "2020-12-31", "2021/01/01"], [2020, 2020 + 365 / 366, 2021], "years"),
        (["2020-01-31 18:00", "2020-02-01T06:00"], [0.75, 1.25], "days since 2020-01-31"),
        (["2020-01-31T18:00:00Z", "2020-01-31T18:00:00-06:00"], [0.75, 1.0], "days since 2020-01-31"),
        (["1e3", "2e3"], [1000, 2000], ""),
    ],
)
def test_times_as_people_write_them(tmp_path, cells, times, unit):
    series = load(written(tmp_path, "when,x\n" + "".join(f"{cell},1.5\n" for cell in cells)), time="when")
    torch.testing.assert_close(series.t[0], torch.tensor(times, dtype=torch.float32))
    assert series.time_unit == unit
    assert series.describe()["time_unit"] == unit


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "empty file"),
        ("t,x\n", {}, "nothing below it"),
        ("t,x\n0,1\n", {}, "two instants or more in mine.csv, got a single one"),
        ("t\n0\n1\n", {}, "a column of numbers beside the time 't'"),
        ("tme,x\n0,1\n1,2\n", {}, "time to name columns.*'t'"),
        ("time_of_day,x\n0,1\n1,2\n", {"time": "time_of_dya"}, "did you mean 'time_of_day'"),
        ("t,x\n0,1\n0,2\n", {}, "got '0' in line 3 after '0' in line 2; delete one.*series="),
        ("t,x\n0,1\n2,2\n1,3\n", {}, "got '1' in line 4 after '2' in line 3; sort"),
        ("t,x,y,z\n0,1,1,1\n1,2,warm,2\n2,3,4,4\n3,3,3,3\n", {}, "'warm' in row 2 .line 3 of the file. of column 'y'"),
        ("t,x,y\n0,1,a\n1,2,b\n2,3,c\n", {}, "text in column 'y'.*drop=.'y'."),
        ("t,x,y\n0,1\n1,2,3\n2,3,3\n", {}, "3 cells in every row of mine.csv, got 2 in line 2"),
        ("t,x\n0,1\n1,inf\n", {}, "infinite"),
        ("t,x\n0,\n1,\n", {}, "at least one number in the series"),
        ("t,x\n0,1\n,2\n", {}, "got no time in line 3"),
        ("t,x\n2020-01-01,1\n2020-02-30,2\n", {}, "'2020-02-30' in line 3"),
        ("t,x\n03/04/2020,1\n04/04/2020,2\n", {}, "a time in every row"),
        ("t,x\n1700000000,1\n1700000001,2\n", {}, "tell apart"),
        ("t,c,v\n0,a,1\n0,a,2\n", {"channel": "c", "value": "v"}, "a second one at '0' in line 3"),
        ("t,c,v,w\n0,a,1,1\n1,a,2,1\n", {"channel": "c", "value": "v"}, "beside 't', 'c' and 'v'"),
        ("t,id,l,x\n0,1,a,1\n1,1,b,2\n", {"series": "id", "label": "l"}, "one label for all rows of series '1'"),
        ("t,id,x\n0,a,1\n1,a,2\n0,b,\n", {"series": "id"}, "in series 'b'"),
    ],
)
def test_sentences(tmp_path, text, options, message):
    with pytest.raises(DataError, match=message):
        load(written(tmp_path, text), **{"time": "t", **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"series": "t"}, "expected time beside 'series'"),
        ({"time": "t", "channel": "x"}, "channel and value together"),
        ({"time": "t", "series": "t"}, "column of its own"),
        ({"time": "t", "given": "x"}, "no given"),
        ({"time": "t", "part": "train"}, "no part"),
    ],
)
def test_options_that_do_not_fit(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        load(written(tmp_path, "t,x\n0,1\n1,2\n"), **options)


def test_a_named_set_has_its_own_columns():
    with pytest.raises(ConfigError, match="no time for 'ornstein_uhlenbeck'"):
        load("ornstein_uhlenbeck", time="t")
    assert len(load("bidirectional_spirals")) == 1000


@local
def test_the_records_as_their_sources_describe_them():
    lynx = load("lynx_hare")
    assert lynx.channel_names == ("Lynx", "Hare")
    assert lynx.t[0].tolist() == list(range(1900, 1921))
    co2 = load("co2")
    assert bool(((co2.x[co2.observed] > 300) & (co2.x[co2.observed] < 460)).all())
    assert abs(float(co2.t[0, 0]) - 1958.2) < 0.01
    assert load("airline").units().mean.tolist() == pytest.approx([280.2986], abs=1e-3)
    assert load("nile").t.shape == (1, 100)
    assert load("temperatures").t.shape == (1, 3650)


@local
def test_physionet_against_the_file_itself():
    """Stay by stay, number by number, from the arrays of the file."""
    series = load("physionet2012", part="b")
    assert len(series) == 4000
    assert series.channels == 41
    with np.load(os.path.join(FOLDER or "", "physionet2012.npz")) as archive:
        record = {name: archive[name] for name in archive.files}
    stays = np.flatnonzero(record["set"] == "b")
    names = record["var_names"].tolist()
    for row in (0, 17, 3999):
        here = slice(*record["offsets"][stays[row] : stays[row] + 2])
        wanted = {(int(m), names[v]): float(x) for m, v, x in zip(*(record[k][here] for k in ("minute", "var", "value")))
                  if x != -1 and names[v] != "RecordID"}  # fmt: skip
        found = {(round(float(series.t[row, i]) * 60), series.channel_names[j]): float(series.x[row, i, j])
                 for i, j in series.observed[row].nonzero().tolist()}  # fmt: skip
        assert found == wanted
        assert int(series.labels[row]) == record["outcomes"][stays[row], 4]
