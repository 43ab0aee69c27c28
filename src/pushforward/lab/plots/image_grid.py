"""A grid of images, by class where there are classes."""

from collections.abc import Sequence

import torch
from jaxtyping import Int, Num
from matplotlib.figure import Figure
from torch import Tensor

from .mosaic import mosaic
from .style import INK, WIDTH, bare, canvas


def image_grid(images: Num[Tensor, "n c h w"], *, labels: Int[Tensor, " n"] | None = None,
               names: Sequence[str] | None = None, columns: int = 10, levels: int = 256,
               title: str = "") -> Figure:  # fmt: skip
    """Images of pixel values 0 .. levels - 1, `columns` a row; with `labels`, one row for each class, by name.

    >>> image_grid(torch.rand(20, 1, 8, 8) * 255, labels=torch.arange(20) % 2).axes[0].get_images()[0].get_array().shape
    (17, 89, 4)
    """
    classes = [0] if labels is None else sorted(set(labels.tolist()))
    rows, marks = [], []
    for k in classes:
        own = images if labels is None else images[labels.to(images.device) == k]
        own = own if labels is None else own[:columns]
        marks.append((len(rows), str(k) if names is None else names[k]))
        rows += own.split(columns)
    height, width = images.shape[2:]
    board = torch.full((len(rows), columns, *images.shape[1:]), torch.nan)
    for row, line in zip(board, rows, strict=True):
        row[: len(line)] = line.float()
    scale = (WIDTH - 0.9) / (columns * (width + 1))
    figure = canvas(WIDTH, len(rows) * (height + 1) * scale + (0.5 if title else 0.15))
    axes = bare(figure.add_subplot(), title=title)
    axes.imshow(mosaic(board, 0, levels - 1).numpy(), interpolation="nearest")
    if labels is not None:
        axes.set_yticks([row * (height + 1) + (height - 1) / 2 for row, _ in marks], [name for _, name in marks])
        axes.tick_params(length=0, labelcolor=INK, labelsize=9)
    return figure
