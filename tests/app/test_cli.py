"""The command line on data nobody prepared: what it writes, its sentences, its exit codes."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pushforward.app.cli.main import app
from pushforward.parts.data import load

RUNNER = CliRunner()


def call(*arguments: object) -> tuple[int, str]:
    result = RUNNER.invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A csv with a wide and a narrow column, a skewed one, and whole numbers."""
    path = tmp_path_factory.mktemp("table") / "mine.csv"
    generator = np.random.default_rng(3)
    x = generator.normal(size=300)
    rows = np.stack([x * 1000, np.exp(x + generator.normal(size=300)), generator.poisson(4, 300)], 1)
    path.write_text("wide,skewed,count\n" + "\n".join(f"{a:.3f},{b:.4f},{int(c)}" for a, b, c in rows) + "\n")
    return path


@pytest.fixture(scope="module")
def table_run(table, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "mine"
    code, output = call(
        "fit", table, "--steps", 30, "--out", run, "--device", "cpu", "--set", "hidden=[16]", "--set", "layers=2"
    )
    assert code == 0, output
    return run


def test_fit_leaves_a_whole_run(table_run):
    names = {path.name for path in table_run.iterdir()}
    assert {"model.safetensors", "model.json", "metrics.jsonl", "run.json", "report.html", "checkpoints"} <= names
    config = json.loads((table_run / "run.json").read_text())
    assert config["options"] == {"hidden": [16], "layers": 2}
    assert json.loads((table_run / "metrics.jsonl").read_text().splitlines()[-1])["step"] == 30
    page = (table_run / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<img" in page or "<svg" in page


def test_sample_and_score(table, table_run, tmp_path):
    code, output = call("sample", table_run, "-n", 50, "-o", tmp_path / "new.csv", "--seed", 4)
    assert code == 0, output
    drawn = load(str(tmp_path / "new.csv"))
    assert [c.name for c in drawn.columns] == ["wide", "skewed", "count"]
    assert len(drawn) == 50
    assert bool((drawn.values[:, 2] == drawn.values[:, 2].round()).all())
    code, output = call("score", table_run, tmp_path / "new.csv", "-o", tmp_path / "scores.csv")
    assert code == 0, output
    assert "mean log_prob" in output
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 51
    assert call("sample", table_run, "-n", 3, "-o", tmp_path / "a.npy", "--seed", 4)[0] == 0
    first = np.load(tmp_path / "a.npy")
    assert np.allclose(first, drawn.values[:3].numpy(), rtol=1e-3), "sample 2 does not depend on how many are drawn"


def test_columns_are_matched_by_name(table_run, table, tmp_path):
    lines = [line.split(",") for line in table.read_text().splitlines()[:20]]
    (tmp_path / "turned.csv").write_text("\n".join(",".join(row[::-1]) for row in lines) + "\n")
    (tmp_path / "same.csv").write_text("\n".join(",".join(row) for row in lines) + "\n")
    (tmp_path / "less.csv").write_text("\n".join(",".join(row[:2]) for row in lines) + "\n")
    for name in ("turned", "same"):
        assert call("score", table_run, tmp_path / f"{name}.csv", "-o", tmp_path / f"{name}-scores.csv")[0] == 0
    assert (tmp_path / "turned-scores.csv").read_text() == (tmp_path / "same-scores.csv").read_text()
    code, output = call("score", table_run, tmp_path / "less.csv")
    assert code == 2
    assert "count is missing" in output


def test_report_again(table_run):
    (table_run / "report.html").unlink()
    assert call("report", table_run)[0] == 0
    assert (table_run / "report.html").stat().st_size > 10_000


def test_images_from_a_folder(tmp_path):
    from PIL import Image

    generator = np.random.default_rng(0)
    for kind in ("cats", "dogs"):
        (tmp_path / "pets" / kind).mkdir(parents=True)
        for i in range(20):
            Image.fromarray(generator.integers(0, 256, (9, 7, 3), dtype=np.uint8)).save(
                tmp_path / "pets" / kind / f"{i}.png"
            )
    code, output = call(
        "fit", tmp_path / "pets", "--steps", 4, "--out", tmp_path / "run", "--set", "batch_size=8", "--no-report"
    )
    assert code == 0, output
    code, output = call("sample", tmp_path / "run", "-n", 4, "-o", tmp_path / "out", "--given", "label=dogs")
    assert code == 0, output
    with Image.open(next((tmp_path / "out").glob("*.png"))) as drawn:
        assert drawn.size == (7, 9)
    code, output = call("sample", tmp_path / "run", "-n", 4, "--given", "label=bird")
    assert code == 2
    assert "cats, dogs" in output


def test_list_shows_everything():
    code, output = call("list")
    assert code == 0
    for name in ("digits", "neural_spline", "two_moons", "mnist"):
        assert name in output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fit",), "expected a recipe, a named data set or a path"),
        (("fit", "no-such-thing.csv"), "no-such-thing.csv"),
        (("fit", "two_mons"), "two_moons"),
        (("fit", "two_moons", "--model", "neural_splin"), "did you mean 'neural_spline'"),
        (("fit", "digits", "--model", "maf"), "expected a model for images"),
        (("fit", "two_moons", "--set", "layer=3"), "did you mean 'layers'"),
        (("fit", "two_moons", "--set", "layers=many"), "expected layers to be int"),
        (("fit", "two_moons", "--set", "layers"), "expected --set key=value"),
        (("fit", "two_moons", "--steps", "3", "--minutes", "1"), "expected one budget"),
        (("fit", "two_moons", "--device", "cuda:9"), "expected a device among cpu"),
        (("fit", "--resume"), "expected the run to go on with"),
        (("fit", "--resume", "--out", "nowhere"), "expected a run folder"),
        (("sample", "nowhere"), "expected a run folder"),
        (("score", "nowhere", "two_moons"), "expected a run folder"),
        (("edit", "nowhere", "--attribute", "smile"), "expected a run folder"),
        (("report", "nowhere"), "expected a run folder"),
    ],
)
def test_mistakes_end_in_one_sentence_and_2(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, output = call(*arguments)
    assert code == 2, output
    assert words in output
    assert "Traceback" not in output
    assert not list(tmp_path.iterdir()), "a mistake leaves nothing behind"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.csv", "", "empty"),
        ("header.csv", "a,b\n", ""),
        ("one.csv", "a,b\n1,2\n", "at least"),
        ("text.csv", "a,b\n" + "1,x\n2,y\n" * 20, "b"),
        ("missing.csv", "a,b\n" + "1,2\n3,\n" * 20, "b"),
        ("constant.csv", "a,b\n" + "".join(f"{i / 7},5\n" for i in range(40)), "the same number in every row of 'b'"),
        ("ragged.csv", "a,b\n" + "1,2\n" * 20 + "1,2,3\n", ""),
    ],
)
def test_bad_files_end_in_one_sentence_and_2(name, content, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(content)
    code, output = call("fit", name, "--steps", "2")
    assert code == 2, output
    assert words in output
    assert "Traceback" not in output
    assert output.count("\n") <= 3


def test_an_unwritable_place_ends_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    code, output = call("fit", "two_moons", "--steps", "2", "--out", tmp_path / "file" / "run")
    assert code == 2, output
    assert "expected to be able to write" in output


def test_resume_lengthens_a_run(tmp_path, table):
    common = ("--device", "cpu")
    small = ("--set", "hidden=[8]", "--set", "layers=2", "--no-report")
    assert call("fit", table, "--steps", 20, "--out", tmp_path / "run", *small, *common)[0] == 0
    code, output = call("fit", "--resume", "--out", tmp_path / "run", "--steps", 40, "--no-report", *common)
    assert code == 0, output
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert steps == [10, 20, 30, 40]
    assert call("fit", table, "--steps", 20, "--out", tmp_path / "run", *common)[0] == 2


def test_ctrl_c_saves_and_ends_with_130(tmp_path):
    command = [
        sys.executable,
        "-m",
        "pushforward.app.cli.main",
        "fit",
        "two_moons",
        "--steps",
        "100000",
        "--out",
        str(tmp_path / "run"),
    ]
    process = subprocess.Popen(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    metrics, give_up = tmp_path / "run" / "metrics.jsonl", time.monotonic() + 120
    try:
        while not metrics.exists() or metrics.read_text().count("\n") < 2:
            assert process.poll() is None, process.communicate()[1].decode()[-3000:]
            assert time.monotonic() < give_up
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait(timeout=30)
    assert process.returncode == 130, errors.decode()[-3000:]
    assert "interrupted and saved" in errors.decode()
    from pushforward.lab.runs import open_run

    model = open_run(tmp_path / "run").model
    assert torch.isfinite(model.log_prob(torch.zeros(1, 2))).all()
