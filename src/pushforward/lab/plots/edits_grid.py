"""Edited images: a row for each original, a column for each amount of the edit."""

from collections.abc import Sequence

from jaxtyping import Num
from matplotlib.figure import Figure
from torch import Tensor

from .mosaic import mosaic
from .style import INK, WIDTH, bare, canvas


def edits_grid(images: Num[Tensor, "n alphas c h w"], alphas: Sequence[float], attribute: str = "", *,
               levels: int = 256) -> Figure:  # fmt: skip
    """Pixel values 0 .. levels - 1, as rows of columns under their alpha; 0 is the original.

    >>> import torch
    >>> edits_grid(torch.rand(2, 3, 1, 8, 8) * 255, (-1, 0, 1), "smile").axes[0].get_images()[0].get_array().shape
    (17, 26, 4)
    """
    n, amounts, _, height, width = images.shape
    scale = min((WIDTH - 0.4) / (amounts * (width + 1)), 0.9 / height)
    figure = canvas(WIDTH, n * (height + 1) * scale + 0.7)
    axes = bare(figure.add_subplot(), title=f"z(x) + α · {attribute or 'direction'}")
    axes.imshow(mosaic(images.float(), 0, levels - 1).numpy(), interpolation="nearest")
    axes.set_xticks([k * (width + 1) + (width - 1) / 2 for k in range(amounts)], [f"α = {alpha:g}" for alpha in alphas])
    axes.tick_params(length=0, labelcolor=INK, labelsize=9)
    return figure
