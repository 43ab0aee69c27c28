"""`pushforward forecast`: series from a file nobody prepared, to a picture and a table; its sentences."""

import csv
import math

import pytest
import torch
from typer.testing import CliRunner

from pushforward.app.cli.main import app
from pushforward.core.errors import ConfigError
from pushforward.lab.runs import open_run, score
from pushforward.lab.runs.forecast import _time, forecast
from pushforward.parts.data import Series

RUNNER = CliRunner()


def call(*arguments: object) -> tuple[int, str]:
    result = RUNNER.invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """Forty years of two channels, with a gap of three years and two empty cells."""
    path = tmp_path_factory.mktemp("record") / "pelts.csv"
    lines = ["year,fox,owl"]
    for year in range(1900, 1940):
        if year not in (1920, 1921, 1922):
            owl = "" if year in (1930, 1938) else f"{20 + 5 * math.cos(year):.2f}"
            lines.append(f"{year},{10 + 3 * math.sin(year):.2f},{owl}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def run(record, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "pelts"
    code, output = call("fit", record, "--set", "time=year", "--steps", 6, "--out", folder, "--device", "cpu",
                        "--set", "encoder_width=8", "--set", "latent=2")  # fmt: skip
    assert code == 0, output
    assert (folder / "report.html").exists()
    return folder


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_table_goes_on_where_the_record_ends_and_fills_its_gaps(run, tmp_path):
    code, output = call("forecast", run, "--until", 1943, "-o", tmp_path / "f.csv")
    assert code == 0, output
    found = rows(tmp_path / "f.csv")
    beyond = [row for row in found if row["part"] == "forecast"]
    assert [(row["year"], row["channel"]) for row in beyond] == [
        (str(year), name) for year in range(1940, 1944) for name in ("fox", "owl")
    ]
    # Of the window that the model is shown, only the empty cells are gaps; what was seen is not predicted.
    assert {(row["year"], row["channel"]) for row in found if row["part"] == "gap"} == {
        ("1930", "owl"),
        ("1938", "owl"),
    }
    for row in found:
        edges = [float(row[name]) for name in ("low_90", "low_50", "high_50", "high_90")]
        assert edges == sorted(edges)
        assert edges[0] < float(row["mean"]) < edges[-1]


def test_a_gap_in_a_new_file_is_filled_at_the_step_of_the_record(run, tmp_path):
    lines = ["owl,fox,year"] + [
        f"{20 + year % 3},{10 + year % 5},{year}" for year in range(2000, 2014) if year not in (2008, 2009)
    ]
    path = tmp_path / "new.csv"
    path.write_text("\n".join(lines) + "\n")
    code, output = call("forecast", run, path, "--steps", 1, "-o", tmp_path / "f.csv")
    assert code == 0, output
    found = rows(tmp_path / "f.csv")
    assert [(row["year"], row["channel"]) for row in found if row["part"] == "gap"] == [(year, name) for year in ("2008", "2009") for name in ("fox", "owl")]  # fmt: skip
    assert [row["year"] for row in found if row["part"] == "forecast"] == ["2014", "2014"]


def test_a_picture_beside_the_run_and_the_same_forecast_twice(run, tmp_path):
    code, output = call("forecast", run)
    assert code == 0, output
    assert (run / "forecast.png").read_bytes().startswith(b"\x89PNG")
    first, _ = forecast(open_run(run), steps=3, out=tmp_path / "a.csv")
    again, _ = forecast(open_run(run), steps=3, out=tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()
    assert torch.equal(first.targets[0].mean, again.targets[0].mean)


def test_a_long_forecast_is_said_to_be_long(run, tmp_path):
    code, output = call("forecast", run, "--steps", 30, "-o", tmp_path / "f.csv")
    assert code == 0
    assert "reaches further" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--until", 1930], "behind the end of the record, which is 1939"),
        (["--until", "soon"], "as a number, as the column 'year' has them, got 'soon'"),
        (["--until", "1950-01"], "as a number, as the column 'year' has them"),
        (["--until", 1e9], "at most 20,000 steps"),
        (["--until", 1950, "--steps", 3], "one length of the forecast"),
        (["--steps", 0], "at least 1 step"),
        (["-o", "table.xlsx"], "ending in .png"),
        (["nowhere.csv"], "found none"),
    ],
)
def test_sentences(run, arguments, message):
    code, output = call("forecast", run, *arguments)
    assert code == 2
    assert message in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("year,fox\n1,2\n2,3\n", "but owl is missing"),
        ("yaer,fox,owl\n1,2,3\n2,3,4\n", "did you mean 'yaer'"),
        ("year,fox,owl\n1,2,3\n", "got a single one"),
        ("year,fox,owl\n1,2,3\n1,3,4\n", "after '1' in line 2"),
        ("year,fox,owl\n1,2,a\n2,3,b\n", "text in column 'owl'"),
        ("year\n1\n2\n", "a column of numbers beside the time"),
        ("", "empty file"),
    ],
)
def test_sentences_about_files(run, tmp_path, text, message):
    path = tmp_path / "odd.csv"
    path.write_text(text)
    code, output = call("forecast", run, path, "-o", tmp_path / "f.csv")
    assert code == 2, output
    assert message in output
    assert not (tmp_path / "f.csv").exists()


def test_another_model_does_not_forecast(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n" + "\n".join(f"{math.sin(i):.3f},{math.cos(3 * i):.3f}" for i in range(60)) + "\n")
    code, output = call("fit", path, "--steps", 2, "--out", tmp_path / "run", "--device", "cpu", "--no-report")
    assert code == 0, output
    code, output = call("forecast", tmp_path / "run")
    assert code == 2
    assert "a model that forecasts series" in output


def test_score_is_the_error_of_the_last_third(run, record):
    scores = score(open_run(run), str(record))
    assert scores.columns()[1] == ["rmse", "log_prob"]
    code, output = call("score", run, record)
    assert code == 0
    assert "last third hidden: RMSE" in output


def test_times_until_are_read_as_the_data_write_them():
    def series(unit):
        return Series.of([0, 1], torch.ones(1, 2), time_unit=unit)

    assert _time("2026-07", series("years")) == 2026.5
    assert _time(" 12.5 ", series("")) == 12.5
    assert _time("2020-03-01", series("days since 2020-02-28")) == 2.0
    assert _time("2020-02-28 18:00", series("days since 2020-02-28")) == 0.75
    with pytest.raises(ConfigError, match="in days"):
        _time("2020-01", series("days since 2020-02-28"))
