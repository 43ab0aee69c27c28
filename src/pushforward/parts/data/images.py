"""`Images`: pictures as whole numbers, perhaps with labels. They stay bytes and become floats a batch at a time."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Size, Tensor
from torch.nn import functional

from pushforward.core.data import Batch
from pushforward.core.errors import DataError
from pushforward.core.files import replacing_folder

from .split import split_rows
from .table import to_numpy


@dataclass(frozen=True, eq=False, repr=False)
class Images:
    """`pixels` `(n, channels, height, width)` in 0 .. `levels` - 1, and perhaps `labels` `(n,)`, numbers of `class_names`.

    Build one with `load` or `Images.of`. Labels become the condition of every batch; `unlabelled()` takes them away.

    >>> images = Images.of(torch.arange(5 * 28 * 28).reshape(5, 28, 28) % 256, labels=[0, 1, 2, 1, 0])
    >>> images
    Images(5 of 1 x 28 x 28, 256 levels, 3 classes)
    >>> images.take(torch.tensor([0, 3])).condition
    tensor([0, 1])
    """

    pixels: UInt8[Tensor, "n channels height width"]
    labels: Int64[Tensor, " n"] | None = None
    levels: int = 256
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.pixels) or int(self.pixels.max()) >= self.levels:
            most = int(self.pixels.max()) if len(self.pixels) else "no images"
            raise DataError(
                f"expected images with pixels up to levels - 1 = {self.levels - 1}, got {most}; set levels to fit"
            )
        if self.labels is not None and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(
            self.class_names
        ):
            raise DataError(f"expected labels from 0 to {len(self.class_names) - 1}, one for each name of a class, got "
                            f"{int(self.labels.min())} to {int(self.labels.max())}; use Images.of")  # fmt: skip

    @classmethod
    def of(cls, array: Any, labels: Any = None, *, levels: int | None = None, class_names: Sequence[str] = (),
           where: str = "the array") -> "Images":  # fmt: skip
        """Make images of whole numbers: `(n, h, w)`, `(n, h, w, c)` or `(n, c, h, w)`, with 1, 3 or 4 channels.

        `levels` is one more than the highest possible pixel: 2 if no pixel is above 1, otherwise 256, unless given.
        Labels are whole numbers from 0, or words. Raises `DataError` for other shapes, dtypes and numbers.
        """
        pixels = _bytes(to_numpy(array), where)
        pixels = _channels_first(pixels, where)
        levels = levels or (2 if pixels.max() <= 1 else 256)
        pixels = torch.from_numpy(np.array(pixels, order="C"))
        if labels is None:
            return cls(pixels, None, levels)
        numbers, names = _numbered(to_numpy(labels), where)
        if len(numbers) != len(pixels):
            raise DataError(f"expected a label for each of {len(pixels)} images of {where}, got {len(numbers)}; leave the labels "
                            "out or complete them")  # fmt: skip
        return cls(pixels, torch.from_numpy(numbers), levels, tuple(class_names) or names)

    def __len__(self) -> int:
        return len(self.pixels)

    def __repr__(self) -> str:
        classes = f", {self.classes} classes" if self.classes else ""
        return f"Images({len(self)} of {' x '.join(map(str, self.shape))}, {self.levels} levels{classes})"

    @property
    def shape(self) -> Size:
        """(channels, height, width) of one image."""
        return self.pixels.shape[1:]

    @property
    def event_shape(self) -> Size:
        """The same, by the name that distributions give it."""
        return self.shape

    @property
    def classes(self) -> int | None:
        """Number of classes; None without labels."""
        return None if self.labels is None else len(self.class_names)

    def take(self, index: Tensor | list[int]) -> Batch:
        """The batch of these images: x as float32 pixels in 0 .. levels - 1, condition the labels or None."""
        return Batch(self.pixels[index].float(), None if self.labels is None else self.labels[index])

    def to(self, device: torch.device | str) -> "Images":
        """Move to a device, as bytes."""
        labels = None if self.labels is None else self.labels.to(device)
        return replace(self, pixels=self.pixels.to(device), labels=labels)

    def split(self, fractions: Sequence[float], seed: int = 0) -> "tuple[Images, ...]":
        """Divide at random, each class in proportion; the same seed gives the same images on every machine."""
        parts = [part.to(self.pixels.device) for part in split_rows(len(self), fractions, seed, self.labels)]
        labels = [None if self.labels is None else self.labels[part] for part in parts]
        return tuple(replace(self, pixels=self.pixels[part], labels=own) for part, own in zip(parts, labels))

    def unlabelled(self) -> "Images":
        """The same images without labels, for models of all classes at once."""
        return replace(self, labels=None, class_names=())

    def resized(self, height: int, width: int) -> "Images":
        """Scale every image (bilinear, smoothed where it shrinks), rounded to whole pixel values."""
        parts = [functional.interpolate(part.float(), (height, width), mode="bilinear", antialias=True).round().byte()
                 for part in self.pixels.split(4096)]  # fmt: skip
        return replace(self, pixels=torch.cat(parts))

    def in_mode(self, mode: str) -> "Images":
        """ "L" for one grey channel (ITU-R 601 luma), "RGB" for three."""
        channels = self.shape[0]
        if (mode, channels) in (("L", 1), ("RGB", 3)):
            return self
        if mode == "RGB" and channels == 1:
            return replace(self, pixels=self.pixels.expand(-1, 3, -1, -1).contiguous())
        if mode == "L" and channels == 3:
            luma = torch.tensor([0.299, 0.587, 0.114], device=self.pixels.device)
            parts = [
                (part.float() * luma[:, None, None]).sum(1, keepdim=True).round().byte()
                for part in self.pixels.split(4096)
            ]
            return replace(self, pixels=torch.cat(parts))
        raise DataError(
            f"expected mode 'L' or 'RGB' for images of 1 or 3 channels, got {mode!r} for {channels}; choose one"
        )

    def describe(self) -> dict[str, Any]:
        """What a saved model should know of its data, as plain JSON."""
        return {"kind": "images", "shape": list(self.shape), "levels": self.levels, "classes": self.classes,
                "class_names": list(self.class_names)}  # fmt: skip

    def require_fittable(self, images: int = 10) -> None:
        """Raise `DataError` if nothing can be fitted: fewer than `images` images, or all of them the same."""
        if len(self) < images:
            raise DataError(f"expected at least {images} images to fit to, got {len(self)}; add images")
        if bool((self.pixels == self.pixels[:1]).all()):
            raise DataError(f"expected images that differ, got {len(self)} copies of one; check how they were made")


def write_images(folder: str | os.PathLike[str], pixels: Tensor, *, levels: int = 256) -> None:
    """Write `(n, 1 or 3, h, w)` pixels in 0 .. levels - 1 as 000.png, 001.png, ...; all of them, or no folder at all.

    Raises `DataError` for pixels out of range, and for a folder that holds something already.
    """
    from PIL import Image

    if pixels.ndim != 4 or pixels.shape[1] not in (1, 3):
        raise DataError(
            f"expected pixels of shape (n, 1 or 3, height, width), got {tuple(pixels.shape)}; save others as .npy"
        )
    values = pixels.detach().cpu().double().round()
    if not bool(((values >= 0) & (values < levels)).all()):
        raise DataError(f"expected pixels from 0 to {levels - 1}, got {float(values.min()):g} to {float(values.max()):g}; "
                        f"clamp them with x.clamp(0, {levels - 1})")  # fmt: skip
    array = (values * (255 / (levels - 1))).round().byte().permute(0, 2, 3, 1).numpy()
    digits = max(3, len(str(len(array) - 1)))
    with replacing_folder(folder) as beside:
        for number, image in enumerate(array):
            picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
            picture.save(beside / f"{number:0{digits}d}.png")


def _bytes(array: np.ndarray, where: str) -> np.ndarray:
    if array.dtype.kind not in "iub":
        raise DataError(f"expected images of whole numbers (uint8) in {where}, got dtype {array.dtype}; "
                        "convert numbers in [0, 1] with (x * 255).round().astype('uint8')")  # fmt: skip
    if array.size and array.dtype != np.uint8 and (array.min() < 0 or array.max() > 255):
        raise DataError(f"expected pixels from 0 to 255 in {where}, got {array.min()} to {array.max()}; rescale them")
    return array.astype(np.uint8, copy=False)


def _channels_first(array: np.ndarray, where: str) -> np.ndarray:
    shape = array.shape
    if array.ndim == 3 and array.size:
        return array[:, None]
    if array.ndim == 4 and array.size:
        for channels in ((1, 3), (4,)):
            first, last = shape[1] in channels, shape[3] in channels
            if first and last:
                # Both could be channels: the reading that makes the images square, if there is one.
                first, last = shape[2] == shape[3], shape[1] == shape[2]
                if first and last:
                    return array
            if first != last:
                return array if first else array.transpose(0, 3, 1, 2)
    raise DataError(f"expected images of shape (n, h, w), (n, h, w, c) or (n, c, h, w) with 1, 3 or 4 channels in {where}, "
                    f"got {shape}; reshape or transpose them")  # fmt: skip


def _numbered(labels: np.ndarray, where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels as numbers from 0, and the names of the classes."""
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.ndim == 1 and labels.dtype.kind == "U":
        names, numbers = np.unique(labels, return_inverse=True)
        return numbers.astype(np.int64), tuple(names.tolist())
    whole = labels.dtype.kind in "iub" or (labels.dtype.kind == "f" and bool((labels == np.rint(labels)).all()))
    if labels.ndim != 1 or not whole or not len(labels) or labels.min() < 0:
        raise DataError(f"expected labels as whole numbers from 0, or as words, one an image, in {where}, got dtype "
                        f"{labels.dtype} and shape {labels.shape}; number the classes from 0")  # fmt: skip
    return labels.astype(np.int64), tuple(map(str, range(int(labels.max()) + 1)))
