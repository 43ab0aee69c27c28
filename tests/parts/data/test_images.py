import numpy as np
import pytest
import torch
from PIL import Image

from pushforward.core.errors import DataError
from pushforward.parts.data import Images, load, write_images


def bytes_of(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def images() -> Images:
    return Images.of(bytes_of(20, 5, 4), [i % 3 for i in range(20)])


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((6, 5, 4), (1, 5, 4)),
        ((6, 5, 4, 3), (3, 5, 4)),
        ((6, 3, 5, 4), (3, 5, 4)),
        ((6, 1, 5, 4), (1, 5, 4)),
        ((6, 5, 4, 1), (1, 5, 4)),
        ((6, 4, 4, 3), (3, 4, 4)),
        ((6, 3, 4, 4), (3, 4, 4)),
        ((6, 4, 5, 5), (4, 5, 5)),
        ((6, 3, 3, 3), (3, 3, 3)),
    ],
)
def test_layouts(shape, expected):
    array = bytes_of(*shape)
    images = Images.of(array)
    assert tuple(images.shape) == expected == tuple(images.event_shape)
    assert np.array_equal(np.sort(images.pixels.flatten(1).numpy()), np.sort(array.reshape(6, -1)))
    if len(shape) == 4 and shape[1] != expected[0]:
        assert np.array_equal(images.pixels.permute(0, 2, 3, 1).numpy(), array)


def test_a_batch_is_floats_and_labels(images):
    batch = images.take(torch.tensor([3, 1]))
    assert batch.x.dtype == torch.float32
    assert torch.equal(batch.x, images.pixels[[3, 1]].float())
    assert batch.condition.tolist() == [0, 1]
    assert images.unlabelled().take(torch.tensor([3])).condition is None
    assert images.unlabelled().classes is None
    assert images.classes == 3
    assert len(images) == 20


def test_levels():
    assert Images.of(bytes_of(2, 4, 4)).levels == 256
    assert Images.of(np.eye(3)[None].astype(bool)).levels == 2
    assert Images.of(np.ones((1, 3, 3), np.int64), levels=17).levels == 17
    with pytest.raises(DataError, match="pixels up to levels - 1 = 16, got 17"):
        Images.of(np.full((1, 3, 3), 17), levels=17)


def test_labels_may_be_words():
    images = Images.of(bytes_of(4, 3, 3), np.array(["dog", "cat", "dog", "ant"]))
    assert images.class_names == ("ant", "cat", "dog")
    assert images.labels.tolist() == [2, 1, 2, 0]
    assert Images.of(bytes_of(2, 3, 3), [[1.0], [0.0]], class_names=("no", "yes")).labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("array", "labels", "piece"),
    [
        (np.zeros((2, 5, 5)), None, r"got dtype float64; convert numbers in \[0, 1\]"),
        (np.zeros((2, 5, 5, 5), np.uint8), None, r"got \(2, 5, 5, 5\)"),
        (np.zeros((2, 3, 4, 3), np.uint8), None, r"got \(2, 3, 4, 3\)"),
        (np.zeros((5, 5), np.uint8), None, r"got \(5, 5\)"),
        (np.zeros((0, 5, 5), np.uint8), None, r"got \(0, 5, 5\)"),
        (np.full((2, 5, 5), 300), None, "expected pixels from 0 to 255"),
        (np.zeros((2, 5, 5), np.uint8), [0], "a label for each of 2 images of the array, got 1"),
        (np.zeros((2, 5, 5), np.uint8), [0, -1], "labels as whole numbers from 0"),
        (np.zeros((2, 5, 5), np.uint8), [0, 0.5], "labels as whole numbers from 0"),
        (np.zeros((2, 5, 5), np.uint8), [[0, 1], [1, 0]], r"shape \(2, 2\)"),
    ],
)
def test_arrays_that_are_no_images(array, labels, piece):
    with pytest.raises(DataError, match=piece):
        Images.of(array, labels)


def test_labels_beyond_the_names_of_the_classes():
    with pytest.raises(DataError, match="expected labels from 0 to 1"):
        Images(torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 2]), class_names=("a", "b"))


def test_split_is_stratified_and_keeps_every_image(images):
    parts = images.split((0.5, 0.5), seed=1)
    assert torch.equal(torch.cat([p.pixels for p in parts]).sort(0).values, images.pixels.sort(0).values)
    assert all((p.labels.bincount() - images.labels.bincount() / 2).abs().max() <= 1 and p.classes == 3 for p in parts)
    assert images.unlabelled().split((0.5, 0.5))[0].labels is None


def test_to_moves_bytes(images):
    assert images.labels is not None
    same = images.to("cpu")
    assert same.pixels.dtype == torch.uint8
    assert torch.equal(same.labels, images.labels)


def test_resized_averages_when_it_shrinks():
    board = (np.indices((8, 8)).sum(0) % 2 * 200).astype(np.uint8)[None]
    small = Images.of(board).resized(2, 2)
    assert tuple(small.shape) == (1, 2, 2)
    assert (small.pixels - 100.0).abs().max() <= 8
    assert int(Images.of(np.full((1, 4, 4), 16), levels=17).resized(7, 9).pixels.float().std()) == 0


def test_modes_are_those_of_pillow():
    colour = bytes_of(3, 6, 5, 3)
    grey = Images.of(colour).in_mode("L").pixels[:, 0].numpy().astype(int)
    pillow = np.stack([np.asarray(Image.fromarray(one).convert("L")) for one in colour]).astype(int)
    assert np.abs(grey - pillow).max() <= 1
    assert Images.of(colour).in_mode("RGB").shape == (3, 6, 5)
    assert torch.equal(Images.of(colour[..., 0]).in_mode("RGB").pixels[:, 2], Images.of(colour[..., 0]).pixels[:, 0])
    with pytest.raises(DataError, match="got 'L' for 4"):
        Images.of(bytes_of(1, 5, 5, 4)).in_mode("L")


def test_what_cannot_be_fitted(images):
    images.require_fittable()
    with pytest.raises(DataError, match="at least 30 images"):
        images.require_fittable(images=30)
    with pytest.raises(DataError, match="20 copies of one"):
        Images.of(np.zeros((20, 3, 3), np.uint8)).require_fittable()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder_of_images_reads_back(tmp_path, channels):
    pixels = torch.from_numpy(bytes_of(11, channels, 5, 4))
    write_images(tmp_path / "deep" / "out", pixels)
    assert sorted(p.name for p in (tmp_path / "deep" / "out").iterdir())[-1] == "010.png"
    assert torch.equal(load(tmp_path / "deep" / "out").pixels, pixels)


def test_few_levels_are_spread_over_black_to_white(tmp_path):
    write_images(tmp_path / "out", torch.tensor([0.0, 8.0, 16.0]).reshape(1, 1, 1, 3), levels=17)
    assert load(tmp_path / "out").pixels.flatten().tolist() == [0, 128, 255]


def test_pixels_out_of_range_and_full_folders_are_refused_without_a_trace(tmp_path):
    good = torch.zeros(1, 1, 2, 2)
    with pytest.raises(DataError, match=r"expected pixels from 0 to 255, got 0 to 300; clamp"):
        write_images(tmp_path / "out", good.clone().fill_(300).index_fill_(3, torch.tensor([0]), 0))
    with pytest.raises(DataError, match="expected pixels from 0 to 255"):
        write_images(tmp_path / "out", good * float("nan"))
    with pytest.raises(DataError, match="expected pixels of shape"):
        write_images(tmp_path / "out", torch.zeros(1, 2, 2, 2))
    assert not list(tmp_path.iterdir())
    write_images(tmp_path / "out", good)
    with pytest.raises(DataError, match="expected a new or an empty folder"):
        write_images(tmp_path / "out", good)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
