"""A folder of pictures: one class, or one sub-folder a class."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pushforward.core.errors import ConfigError, DataError

from .files import did_you_mean, listed
from .images import Images

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm")
_PARTS = {"train", "training", "valid", "val", "validation", "test", "testing"}


@dataclass(frozen=True)
class _Picture:
    path: Path
    mode: str
    array: np.ndarray


def read_image_folder(folder: Path, *, part: str | None = None, resize: tuple[int, int] | None = None,
                      mode: str | None = None) -> Images:  # fmt: skip
    """Read every picture in `folder`, in order of name; sub-folders are classes, in order of name too.

    `part` chooses a sub-folder such as train. `resize` (height, width) and `mode` ("L" grey, "RGB") bring pictures of
    different kinds to one; without them, pictures that differ raise a `DataError` that names two of them.
    """
    if mode not in (None, "L", "RGB"):
        raise ConfigError(f"expected mode 'L' (grey) or 'RGB', got {mode!r}; choose one")
    folder = _part(folder, part)
    classes = sorted(sub for sub in _visible(folder) if sub.is_dir() and _pictures(sub))
    loose = _pictures(folder)
    if classes and loose:
        raise DataError(f"expected pictures in '{folder}' or in its sub-folders, one a class, got both: {loose[0].name} and "
                        f"{classes[0].name}/; move one or the other away")  # fmt: skip
    paths = [path for sub in classes for path in _pictures(sub)] if classes else loose
    if not paths:
        found = listed([entry.name for entry in sorted(_visible(folder))])
        raise DataError(f"expected pictures ({', '.join(SUFFIXES[:3])}, ...) in the folder '{folder}' or its sub-folders, got "
                        f"{found or 'an empty folder'}; check the path")  # fmt: skip
    with ThreadPoolExecutor() as pool:  # decoding leaves Python's lock free
        pictures = pool.map(lambda path: _open(path, resize, mode), paths)
        first = next(pictures)
        pixels = np.empty((len(paths), *first.array.shape), np.uint8)
        pixels[0] = first.array
        for row, picture in enumerate(pictures, 1):
            _require_alike(first, picture, folder)
            pixels[row] = picture.array
    stacked = torch.from_numpy(pixels if pixels.ndim == 4 else pixels[..., None]).permute(0, 3, 1, 2).contiguous()
    if not classes:
        return Images(stacked)
    labels = [number for number, sub in enumerate(classes) for _ in _pictures(sub)]
    return Images(stacked, torch.tensor(labels), class_names=tuple(sub.name for sub in classes))


def _part(folder: Path, part: str | None) -> Path:
    subs = sorted(entry.name for entry in _visible(folder) if entry.is_dir())
    if part is None:
        # A folder of nothing but parts: the training part, as for every other source.
        return folder / "train" if "train" in subs and set(subs) <= _PARTS else folder
    if part not in subs:
        raise DataError(f"expected part to name a sub-folder of '{folder}', got {part!r}"
                        f"{did_you_mean(part, subs) or '; there is ' + (listed(subs) or 'none')}")  # fmt: skip
    return folder / part


def _visible(folder: Path) -> list[Path]:
    return [entry for entry in folder.iterdir() if not entry.name.startswith(".")]


def _pictures(folder: Path) -> list[Path]:
    return sorted(entry for entry in _visible(folder) if entry.suffix.lower() in SUFFIXES and entry.is_file())


def _open(path: Path, resize: tuple[int, int] | None, mode: str | None) -> _Picture:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            found = image.mode
            if found.startswith(("I", "F")):
                # Pillow would clip these to 255 without a word.
                raise DataError(
                    f"expected pictures of 8 bits a channel, got mode {found} in '{path}'; convert it to 8 bits first"
                )
            image = ImageOps.exif_transpose(image)
            image = image.convert(mode) if mode is not None else image
            if image.mode not in ("L", "RGB"):
                raise DataError(f"expected grey (L) or RGB pictures, got mode {found} in '{path}'; choose with mode='L' or mode='RGB' "
                                "(on the command line: --set mode=RGB)")  # fmt: skip
            if resize is not None:
                image = image.resize((resize[1], resize[0]), Image.Resampling.LANCZOS)
            return _Picture(path, image.mode, np.asarray(image))
    except DataError:
        raise
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(
            f"expected a picture in '{path}', got a file that cannot be read ({error}); remove or replace it"
        ) from None


def _require_alike(first: _Picture, other: _Picture, folder: Path) -> None:
    names = [str(picture.path.relative_to(folder)) for picture in (first, other)]
    if first.mode != other.mode:
        raise DataError(f"expected pictures of one mode, got {first.mode} in {names[0]} and {other.mode} in {names[1]}; "
                        "choose with mode='L' or mode='RGB' (on the command line: --set mode=RGB)")  # fmt: skip
    sizes = [f"{p.array.shape[0]} x {p.array.shape[1]}" for p in (first, other)]
    if sizes[0] != sizes[1]:
        height, width = first.array.shape[:2]
        raise DataError(f"expected pictures of one size, got {sizes[0]} in {names[0]} and {sizes[1]} in {names[1]}; choose with "
                        f'resize=({height}, {width}) (on the command line: --set "resize=[{height},{width}]")')  # fmt: skip
