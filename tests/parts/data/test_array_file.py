import numpy as np
import pytest
import torch

from pushforward.core.errors import ConfigError, DataError
from pushforward.parts.data import Images, Table, load, save_array

TABLE = np.arange(12.0).reshape(4, 3) / 4
PICTURES = (np.arange(4 * 5 * 5) % 256).astype(np.uint8).reshape(4, 5, 5)


@pytest.fixture
def saved(tmp_path):
    def save(**arrays):
        np.savez(tmp_path / "a.npz", **arrays)
        return tmp_path / "a.npz"

    return save


def complaint(path, **options) -> str:
    with pytest.raises(DataError) as caught:
        load(path, **options)
    return str(caught.value)


def test_npy_of_two_dimensions_is_a_table(tmp_path):
    np.save(tmp_path / "t.npy", TABLE)
    table = load(tmp_path / "t.npy", drop="x1", given="x2")
    assert isinstance(table, Table)
    assert table.names == ("x0",)
    assert table.condition_names == ("x2",)
    np.save(tmp_path / "t.npy", TABLE[:, 0])
    assert load(tmp_path / "t.npy").values.shape == (4, 1)


@pytest.mark.parametrize("shape", [(4, 5, 5), (4, 5, 5, 1), (4, 1, 5, 5)])
def test_npy_of_bytes_is_images(tmp_path, shape):
    np.save(tmp_path / "i.npy", PICTURES.reshape(shape))
    images = load(tmp_path / "i.npy")
    assert isinstance(images, Images)
    assert np.array_equal(images.pixels[:, 0].numpy(), PICTURES)


@pytest.mark.parametrize("x", ["x", "data", "images", "X", "arr_0", "anything"])
@pytest.mark.parametrize("y", ["y", "labels", "Target"])
def test_names_of_arrays(saved, x, y):
    if x == "anything":
        assert load(saved(anything=PICTURES)).labels is None
    else:
        assert load(saved(**{x: PICTURES, y: np.array([0, 1, 1, 0])})).labels.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("style", ["x_{}", "{}_images", "X_{}"])
def test_parts(saved, style):
    arrays = {style.format(part): PICTURES + k for k, part in enumerate(("train", "test", "val"))}
    path = saved(**arrays, y_train=np.zeros(4, int), test_labels=np.ones(4, int))
    assert load(path).pixels[0, 0, 0, 0] == 0
    assert load(path, part="train").labels.tolist() == [0] * 4
    assert load(path, part="test").pixels[0, 0, 0, 0] == 1
    assert load(path, part="test").labels.tolist() == [1] * 4
    assert load(path, part="valid").pixels[0, 0, 0, 0] == 2
    assert load(path, part="valid").labels is None
    assert "expected an array for part 'extra' in a.npz, such as x_extra" in complaint(path, part="extra")


def test_parts_named_by_nothing_else(saved):
    path = saved(train=TABLE, valid=TABLE + 1, test=TABLE + 2)
    assert [float(load(path, part=part).values[0, 0]) for part in ("train", "valid", "test")] == [0, 1, 2]
    assert float(load(path).values[0, 0]) == 0


def test_an_array_and_its_labels_by_name(saved):
    path = saved(big=PICTURES, small=PICTURES[:, ::2, ::2], who=np.array(["b", "a", "b", "a"]), y=np.zeros(4, int))
    images = load(path, part="small", label="who")
    assert tuple(images.shape) == (1, 3, 3)
    assert images.class_names == ("a", "b")
    assert load(path, part="small", drop="labels").labels is None
    assert "none of big, small, who, y; did you mean 'who'?" in complaint(path, part="small", label="whom")
    message = complaint(path)
    assert "expected an array named x, data, images or x_train in a.npz, got big (4, 5, 5), small" in message


def test_labels_of_a_table_are_its_last_column(saved):
    path = saved(x=TABLE, y=np.array([0, 1, 0, 1]))
    table = load(path)
    assert table.names == ("x0", "x1", "x2", "y")
    assert table.columns[3].kind == "integer"
    assert load(path, given="y").condition.tolist() == [[0], [1], [0], [1]]
    assert "one label for each of 4 rows" in complaint(saved(x=TABLE, y=np.zeros(3)))


def test_numbers_that_cannot_be_used(saved, tmp_path):
    bad = TABLE.copy()
    bad[2, 1] = np.nan
    assert "missing values in column 'x1' (the first in row 3" in complaint(saved(x=bad))
    bad[2, 1] = -np.inf
    assert "infinite numbers in column 'x1'" in complaint(saved(x=bad))
    assert "expected images of whole numbers (uint8) in a.npz, got dtype float64" in complaint(saved(x=PICTURES / 255))
    assert "got dtype <U1" in complaint(saved(x=np.array([["a"]])))
    assert "got ()" in complaint(saved(x=np.array(1.0)))


def test_python_objects_are_never_loaded(tmp_path):
    np.save(tmp_path / "o.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert "which are never loaded because they could run code" in complaint(tmp_path / "o.npy")
    np.savez(tmp_path / "o.npz", x=np.array([{"a": 1}], dtype=object))
    assert "which are never loaded because they could run code" in complaint(tmp_path / "o.npz")


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("damage", ["garbage", "cut", "empty"])
def test_damaged_files(tmp_path, suffix, damage):
    path = tmp_path / f"d{suffix}"
    save_array(path, TABLE)
    whole = path.read_bytes()
    path.write_bytes(
        {"garbage": b"\x93NUMPY garbage of some length", "cut": whole[: len(whole) // 2], "empty": b""}[damage]
    )
    message = complaint(path)
    assert "expected a numpy file" in message or "which are never loaded" in message


def test_choices_that_an_npy_does_not_have(tmp_path):
    np.save(tmp_path / "t.npy", TABLE)
    with pytest.raises(DataError, match="no part or label to choose"):
        load(tmp_path / "t.npy", part="train")
    np.save(tmp_path / "i.npy", PICTURES)
    with pytest.raises(ConfigError, match="expected only 'labels' to leave out of images, got 'x0'"):
        load(tmp_path / "i.npy", drop="x0")


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv"])
def test_saved_arrays_read_back(tmp_path, suffix):
    x = torch.randn(7, 3)
    save_array(tmp_path / f"out{suffix}", x)
    assert torch.equal(load(tmp_path / f"out{suffix}").values, x)
    save_array(tmp_path / f"out{suffix}", x[:, 0])
    assert torch.equal(load(tmp_path / f"out{suffix}").values, x[:, :1])
    assert [path.name for path in tmp_path.iterdir()] == [f"out{suffix}"]


def test_saving_what_does_not_fit(tmp_path):
    with pytest.raises(DataError, match=r"shape \(2, 2, 2\); use .npy or .npz"):
        save_array(tmp_path / "x.csv", torch.zeros(2, 2, 2))
    with pytest.raises(DataError, match=r"ending in \.npy, \.npz or \.csv"):
        save_array(tmp_path / "x.pt", torch.zeros(2))
    (tmp_path / "d.npy").mkdir()
    with pytest.raises(DataError, match="got the folder"):
        save_array(tmp_path / "d.npy", torch.zeros(2))
    save_array(tmp_path / "n.csv", torch.tensor([[1.0, 0.5]]), names=["a", "b"])
    assert (tmp_path / "n.csv").read_text() == "a,b\n1,0.5\n"
