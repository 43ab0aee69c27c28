"""`fit --guide RUN` and `sample RUN --guide --weight`: from the command line to pictures of a class."""

import pytest
from typer.testing import CliRunner

from pushforward.app.cli.main import app


def call(*arguments: object):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guide") / "run"
    done = call(
        "fit", "digits", "--model", "v_diffusion", "--set", "width=8", "--steps", 4, "--out", folder, "--no-report"
    )
    assert done.exit_code == 0, done.output
    return folder


def test_a_guide_is_fitted_beside_the_run_and_used(run):
    missing = call("sample", run, "--guide")
    assert missing.exit_code == 2
    assert "expected a guide in" in missing.output
    fitted = call("fit", "--guide", run, "--steps", 4)
    assert fitted.exit_code == 0, fitted.output
    assert (run / "guide" / "model.safetensors").is_file()
    for extra in (("--guide", "--weight", 2), ("--weight", 3), ("--guide", "--given", "label=3")):
        drawn = call("sample", run, "-n", 3, "-o", run / "x.npy", *extra)
        assert drawn.exit_code == 0, drawn.output


def test_mistakes_are_one_sentence(run, tmp_path):
    for arguments, words in (
        (("fit", "--guide", run, "--resume"), "expected no --resume"),
        (("fit", "two_moons", "--guide", run), "expected labelled images"),
        (("fit", "--guide", tmp_path), "expected"),
    ):
        done = call(*arguments)
        assert done.exit_code == 2, done.output
        assert words in done.output
