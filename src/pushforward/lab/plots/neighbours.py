"""Samples above their nearest training images: is any of them a copy?"""

import torch
from jaxtyping import Float, Num
from matplotlib.figure import Figure
from torch import Tensor

from .mosaic import mosaic
from .style import INK, WIDTH, bare, canvas


def neighbours(samples: Num[Tensor, "n c h w"], nearest: Num[Tensor, "n k c h w"], *,
               distances: Float[Tensor, "n k"] | None = None, levels: int = 256,
               title: str = "") -> Figure:  # fmt: skip
    """One column a sample: the sample, then its `k` nearest training images, nearest first.

    `distances` to the nearest stand below the columns, in the unit they were measured in.

    >>> neighbours(torch.rand(5, 1, 8, 8), torch.rand(5, 2, 1, 8, 8)).axes[0].get_images()[0].get_array().shape
    (29, 44, 4)
    """
    n, k, channels, height, width = nearest.shape
    board = torch.full((k + 1, n, channels, height + 1, width), torch.nan)
    board[0, :, :, :height], board[1:, :, :, :height] = samples.float(), nearest.transpose(0, 1).float()
    picture = mosaic(board, 0, levels - 1, gap=1)
    # One more empty line below the samples sets them apart from the training images.
    pitch = height + 2
    picture = torch.cat([picture[:pitch], torch.zeros_like(picture[:1]), picture[pitch:-1]])
    scale = (WIDTH - 1.0) / (n * (width + 1))
    figure = canvas(WIDTH, len(picture) * scale + (0.6 if title else 0.2) + (0.3 if distances is not None else 0))
    axes = bare(figure.add_subplot(), title=title)
    axes.imshow(picture.numpy(), interpolation="nearest")
    centres = [(height - 1) / 2, *(pitch * row + 1 + (height - 1) / 2 for row in range(1, k + 1))]
    axes.set_yticks(centres, ["sample", "nearest", *(f"{row}." for row in range(2, k + 1))])
    if distances is not None:
        marks = [i * (width + 1) + (width - 1) / 2 for i in range(n)]
        axes.set_xticks(marks, [f"{d:.3g}" for d in distances[:, 0].tolist()])
    axes.tick_params(length=0, labelcolor=INK, labelsize=8)
    return figure
