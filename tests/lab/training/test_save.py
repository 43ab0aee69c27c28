"""Saving: what comes back is what went in, and nothing damaged, altered or foreign is loaded."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import pushforward as pf
from pushforward.core.errors import ConfigError, SavedFileError
from tests.lab.training.line import NoisyLine, line_data


@pytest.fixture
def model():
    return NoisyLine().eval()


@pytest.mark.parametrize("name", ["model.pf", "folder"])
def test_round_trip(model, tmp_path, name):
    path = pf.save(model, tmp_path / name)
    assert torch.equal(pf.load(path).log_prob(line_data()), model.log_prob(line_data()))
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == (
        ["model.pf"] if "." in name else ["model.json", "model.safetensors"]
    )


def test_double_precision_comes_back_as_it_was(model, tmp_path):
    path = pf.save(model.double(), tmp_path / "model.pf")
    assert pf.load(path).log_scale.dtype == torch.float64


def test_truncated(model, tmp_path):
    path = pf.save(model, tmp_path / "model.pf")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(SavedFileError, match="truncated or of another kind"):
        pf.load(path)
    path.write_bytes(b"")
    with pytest.raises(SavedFileError, match="truncated or of another kind"):
        pf.load(path)


def test_a_flipped_bit_is_noticed(model, tmp_path):
    path = pf.save(model, tmp_path / "model.pf")
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(SavedFileError, match="check sum is wrong"):
        pf.load(path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda h: h.update(version=99), "expected format version 1 in .*, got 99; update pushforward"),
        (lambda h: h["model"].update({"class": "os.system"}), "check sum is wrong"),
        (lambda h: h["model"]["arguments"].update(hidden=17), "check sum is wrong"),
        (lambda h: h.update(format="other"), "expected a model of pushforward"),
    ],
)
def test_altered_json(model, tmp_path, change, sentence):
    path = pf.save(model, tmp_path / "run")
    header = json.loads((path / "model.json").read_text())
    change(header)
    (path / "model.json").write_text(json.dumps(header))
    with pytest.raises(SavedFileError, match=sentence):
        pf.load(path)


def test_the_weights_file_is_whole_by_itself(model, tmp_path):
    path = pf.save(model, tmp_path / "run")
    (path / "model.json").unlink()
    assert torch.equal(pf.load(path).log_prob(line_data()), model.log_prob(line_data()))


def forged(path, header, tensors):
    from pushforward.lab.training.save import digest

    header["digest"] = digest(header, tensors)
    save_file(tensors, path, metadata={"pushforward": json.dumps(header)})


def test_a_forged_file_builds_nothing_but_registered_parts_of_the_right_shape(model, tmp_path):
    from safetensors import safe_open

    path = pf.save(model, tmp_path / "model.pf")
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["pushforward"])
    tensors = load_file(path)
    foreign = json.loads(json.dumps(header))
    foreign["model"]["class"] = "Popen"
    forged(path, foreign, tensors)
    with pytest.raises(SavedFileError, match="expected a part known to this version of pushforward, got 'Popen'"):
        pf.load(path)
    forged(path, header, tensors | {"state.log_scale": torch.zeros(4)})
    with pytest.raises(SavedFileError, match=r"expected log_scale of shape \(3,\).*got \(4,\)"):
        pf.load(path)
    short = {k: v for k, v in tensors.items() if k != "state.log_scale"}
    forged(path, header, short)
    with pytest.raises(SavedFileError, match="log_scale is missing"):
        pf.load(path)
    save_file(tensors, path)
    with pytest.raises(SavedFileError, match="of another kind"):
        pf.load(path)


def test_nothing_there(tmp_path):
    with pytest.raises(SavedFileError, match=r"expected a saved file at .*, found none"):
        pf.load(tmp_path / "nothing.pf")
    with pytest.raises(SavedFileError, match=r"expected model.safetensors in the folder"):
        pf.load(tmp_path)


def test_what_cannot_be_saved_says_why(model, tmp_path):
    with pytest.raises(ConfigError, match=r"expected numbers, strings, tensors or registered parts, got torch.nn"):
        pf.save(nn.Linear(1, 1), tmp_path / "x.pf")
    model.net[0] = nn.Linear(2, 2)
    with pytest.raises(ConfigError, match="parts were changed afterwards"):
        pf.save(model, tmp_path / "x.pf")
    assert not list(tmp_path.iterdir())


def test_an_unwritable_place_is_one_sentence(model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(pf.UserError, match="expected to be able to write"):
        pf.save(model, tmp_path / "file" / "model.pf")


def test_a_device_that_is_not_there(model, tmp_path):
    path = pf.save(model, tmp_path / "model.pf")
    with pytest.raises(ConfigError, match="expected a device among cpu"):
        pf.load(path, device="cuda:77")
