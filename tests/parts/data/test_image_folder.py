import numpy as np
import pytest
import torch
from PIL import Image

from pushforward.core.errors import ConfigError, DataError
from pushforward.parts.data import load


@pytest.fixture
def draw(tmp_path):
    def save(name, size=(4, 6), mode="RGB", value=7):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new(mode, (size[1], size[0]), value if mode in ("L", "P", "I;16") else (value,) * len(mode)).save(path)
        return path

    return save


def complaint(path, **options) -> str:
    with pytest.raises(DataError) as caught:
        load(path, **options)
    return str(caught.value)


def test_a_flat_folder_in_order_of_name(tmp_path, draw):
    for value, name in ((3, "c.png"), (1, "a.bmp"), (2, "b.PNG")):
        draw(name, value=value)
    (tmp_path / "notes.txt").write_text("ignored")
    (tmp_path / ".hidden.png").write_text("ignored")
    images = load(tmp_path)
    assert tuple(images.shape) == (3, 4, 6)
    assert images.labels is None
    assert images.levels == 256
    assert images.pixels[:, 0, 0, 0].tolist() == [1, 2, 3]


def test_sub_folders_are_classes(tmp_path, draw):
    for name in ("dog/1.png", "cat/1.png", "cat/2.png"):
        draw(name, mode="L")
    (tmp_path / "empty").mkdir()
    images = load(tmp_path)
    assert images.class_names == ("cat", "dog")
    assert images.labels.tolist() == [0, 0, 1]
    assert tuple(images.shape) == (1, 4, 6)
    assert load(tmp_path, drop="labels").labels is None
    assert len(load(tmp_path, part="cat")) == 2


def test_parts_are_sub_folders(tmp_path, draw):
    for name in ("train/cat/1.png", "train/dog/1.png", "test/cat/1.png"):
        draw(name)
    assert load(tmp_path).class_names == ("cat", "dog")
    assert load(tmp_path, part="test").class_names == ("cat",)
    assert "expected part to name a sub-folder" in complaint(tmp_path, part="valid")


def test_sizes_that_differ(tmp_path, draw):
    draw("a.png"), draw("b.png", size=(5, 6))
    message = complaint(tmp_path)
    assert "got 4 x 6 in a.png and 5 x 6 in b.png" in message
    assert 'resize=(4, 6) (on the command line: --set "resize=[4,6]")' in message
    assert tuple(load(tmp_path, resize=(8, 3)).pixels.shape) == (2, 3, 8, 3)
    assert tuple(load(tmp_path, resize=8).shape) == (3, 8, 8)


def test_modes_that_differ(tmp_path, draw):
    draw("a.png", mode="L"), draw("b.png", mode="RGB")
    assert "got L in a.png and RGB in b.png; choose with mode='L' or mode='RGB'" in complaint(tmp_path)
    assert load(tmp_path, mode="L").shape[0] == 1
    assert load(tmp_path, mode="RGB").shape[0] == 3
    with pytest.raises(ConfigError, match="expected mode 'L'"):
        load(tmp_path, mode="CMYK")


@pytest.mark.parametrize("mode", ["P", "RGBA"])
def test_modes_that_need_a_choice(tmp_path, draw, mode):
    draw("a.png", mode=mode)
    assert f"got mode {mode} in" in complaint(tmp_path)
    assert load(tmp_path, mode="RGB").shape[0] == 3


def test_sixteen_bits_are_refused_rather_than_clipped(tmp_path, draw):
    draw("a.png", mode="I;16", value=3000)
    assert "expected pictures of 8 bits a channel" in complaint(tmp_path, mode="L")


def test_pictures_are_turned_as_the_camera_was_held(tmp_path):
    image = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6))
    exif = image.getexif()
    exif[0x0112] = 6  # a quarter turn
    image.save(tmp_path / "a.png", exif=exif)
    assert torch.equal(load(tmp_path).pixels[0, 0], torch.arange(24, dtype=torch.uint8).reshape(4, 6).rot90(-1))


def test_files_that_cannot_be_read(tmp_path, draw):
    whole = draw("a.png", size=(64, 64))
    (tmp_path / "b.png").write_bytes(whole.read_bytes()[:60])
    assert "b.png', got a file that cannot be read" in complaint(tmp_path)
    (tmp_path / "b.png").write_text("no picture")
    assert "b.png', got a file that cannot be read" in complaint(tmp_path)


def test_folders_without_pictures(tmp_path, draw):
    assert "got an empty folder" in complaint(tmp_path)
    (tmp_path / "notes.txt").write_text("")
    assert "got 'notes.txt'" in complaint(tmp_path)
    draw("a.png"), draw("sub/b.png")
    assert "got both: a.png and sub/" in complaint(tmp_path)
