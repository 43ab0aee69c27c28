"""`pushforward predict`: a few points of a new curve, to a picture and a table; its sentences."""

import csv
import math

import pytest
from typer.testing import CliRunner

from pushforward.app.cli.main import app

RUNNER = CliRunner()


def call(*arguments: object) -> tuple[int, str]:
    result = RUNNER.invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Thirty waves in one file, and a neural ODE process of a few steps."""
    folder = tmp_path_factory.mktemp("curves")
    lines = ["name,t,height"]
    for i in range(30):
        lines += [f"c{i},{0.3 * j:.2f},{math.sin(0.3 * j + i):.4f}" for j in range(10)]
    (folder / "curves.csv").write_text("\n".join(lines) + "\n")
    options = ("series=name", "given=t", "hidden=8", "latent=2", "control=1", "steps=4", "representation=8")
    code, output = call("fit", folder / "curves.csv", "--model", "neural_ode_process", "--steps", 4, "--out", folder / "run",
                        "--device", "cpu", "--no-report", *(v for own in options for v in ("--set", own)))  # fmt: skip
    assert code == 0, output
    return folder / "run"


def test_a_partial_curve_becomes_a_picture_and_a_table(run, tmp_path):
    (tmp_path / "partial.csv").write_text("t,height\n0.1,0.2\n0.5,0.4\n")
    code, output = call(
        "predict", run, tmp_path / "partial.csv", "--points", 7, "--high", 3.0, "-o", tmp_path / "p.png"
    )
    assert code == 0, output
    assert (tmp_path / "p.png").read_bytes()[:4] == b"\x89PNG"
    with (tmp_path / "p.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["x"]) for row in rows] == pytest.approx([0.5 * i for i in range(7)])
    for row in rows:
        edges = [float(row[name]) for name in ("low_90", "low_50", "mean", "high_50", "high_90")]
        assert edges == sorted(edges)
        assert edges[0] < edges[-1]


def test_many_curves_are_told_apart_by_the_column_of_the_run(run, tmp_path):
    (tmp_path / "two.csv").write_text("name,t,height\nb,0.1,0.2\na,0.5,0.4\nb,0.9,0.3\n")
    code, output = call("predict", run, tmp_path / "two.csv", "--points", 3, "-o", tmp_path / "two.csv.csv")
    assert code == 0, output
    with (tmp_path / "two.csv.csv").open() as file:
        assert [row["function"] for row in csv.DictReader(file)] == ["1"] * 3 + ["2"] * 3


@pytest.mark.parametrize(
    ("content", "options", "sentence"),
    [
        ("day,height\n0.1,0.2\n0.4,0.2\n", (), "expected a column 't'"),
        ("t,height\n0.1,0.2\n0.4,0.2\n", ("--low", 2, "--high", 1), "from low to a larger high"),
        ("t,height\n0.1,0.2\n0.4,0.2\n", ("--points", 1), "2 to 20,000 points"),
        ("t,height\n0.1,0.2\n0.4,0.2\n", ("-o", "x.pdf"), ".png or a table ending in .csv"),
    ],
)
def test_mistakes_are_one_sentence(run, tmp_path, content, options, sentence):
    (tmp_path / "partial.csv").write_text(content)
    code, output = call("predict", run, tmp_path / "partial.csv", *options)
    assert code == 2, output
    assert sentence in output
