"""A model that is taught by the model of another run, and reports of models without a density."""

import pytest
import torch

from pushforward.core.errors import ConfigError, DataError, SavedFileError
from pushforward.lab import runs
from pushforward.models.diffusion import Consistency


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder, _ = runs.start(
        "digits", model="flow_matching", out=tmp_path_factory.mktemp("runs") / "teacher", steps=2, quiet=True
    )
    return folder


def test_a_student_takes_the_weights_of_the_run_that_is_named(teacher, tmp_path):
    folder, _ = runs.start("digits", model="consistency", out=tmp_path / "student", steps=2, quiet=True,
                           changes={"teacher": str(teacher), "steps": "2"})  # fmt: skip
    model, taught_by = runs.open_run(folder).model, runs.open_run(teacher).model
    assert isinstance(model, Consistency)
    for name, weight in taught_by.named_parameters():
        assert torch.equal(model.teacher.get_parameter(name), weight)


def test_a_folder_may_have_a_dot_in_its_name(tmp_path):
    folder, _ = runs.start("two_moons", out=tmp_path / "moons-0.3", steps=2, quiet=True)
    assert runs.open_run(folder).model.sample(2).shape == (2, 2)


def test_a_teacher_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SavedFileError, match=r"expected a run folder with run.json at .*nowhere"):
        runs.start(
            "digits", model="consistency", out=tmp_path / "x", steps=2, changes={"teacher": str(tmp_path / "nowhere")}
        )
    with pytest.raises(ConfigError, match="expected teacher to be the folder of a run, got ''"):
        runs.start("digits", model="consistency", out=tmp_path / "x", steps=2, changes={"teacher": ""})


def test_without_a_density_there_is_a_report_and_no_score(tmp_path):
    folder, _ = runs.start("two_moons", model="consistency", out=tmp_path / "moons", steps=2, quiet=True)
    run = runs.open_run(folder)
    assert "has no density" in run.report().read_text(encoding="utf-8")
    with pytest.raises(DataError, match="but Consistency only draws"):
        runs.score(run, "two_moons")
