"""`pushforward edit` and `sample --temperature`, on a small flow of the digits: files, sentences, exit codes."""

import numpy as np
import pytest
from PIL import Image

from tests.app.test_cli import call


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    code, output = call("fit", "digits", "--model", "glow", "--steps", 3, "--out", folder, "--device", "cpu", "--no-report",
                        "--set", "classes=0", "--set", "steps=1", "--set", "width=8")  # fmt: skip
    assert code == 0, output
    return folder


def test_it_writes_a_picture_and_gives_the_originals_back(run):
    code, output = call("edit", run, "--attribute", "3", "-n", 4)
    assert code == 0, output
    assert "alpha 0 changes 0 of 256 pixels" in output
    with Image.open(run / "edits-3.png") as picture:
        assert picture.width > 500


def test_it_writes_the_pixels(run, tmp_path):
    code, output = call("edit", run, "--attribute", "8", "-n", 3, "--alpha", 0, "--alpha", 2, "-o", tmp_path / "e.npy")
    assert code == 0, output
    pixels = np.load(tmp_path / "e.npy")
    assert pixels.shape == (3, 2, 1, 8, 8)
    assert pixels.max() <= 16
    assert (pixels[:, 0] != pixels[:, 1]).any()


def test_an_unknown_attribute_is_one_sentence(run):
    code, output = call("edit", run, "--attribute", "smile")
    assert code == 2
    assert "expected an attribute among the classes of the run's images, 0, 1, 2" in output


def test_no_test_image_to_edit_is_one_sentence(tmp_path):
    for name, count in (("cat", 10), ("dog", 2)):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(np.full((8, 8), 20 * i, dtype=np.uint8)).save(tmp_path / "pets" / name / f"{i}.png")
    code, output = call("fit", tmp_path / "pets", "--model", "glow", "--steps", 2, "--out", tmp_path / "run", "--device", "cpu",
                        "--no-report", "--set", "classes=0", "--set", "steps=1", "--set", "width=8")  # fmt: skip
    assert code == 0, output
    code, output = call("edit", tmp_path / "run", "--attribute", "cat")
    assert code == 2, output
    assert "expected test images without 'cat' to edit, got none" in output


def test_samples_have_a_temperature(run, tmp_path):
    for name, temperature in (("warm", 1.0), ("cold", 0.1)):
        code, output = call("sample", run, "-n", 40, "--temperature", temperature, "-o", tmp_path / f"{name}.npy")
        assert code == 0, output
    warm, cold = (np.load(tmp_path / f"{name}.npy").astype(float).std(0).mean() for name in ("warm", "cold"))
    assert cold < 0.5 * warm
    code, output = call("sample", run, "--temperature", -1)
    assert code == 2
    assert "expected a temperature of at least 0" in output
