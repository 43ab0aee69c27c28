"""Images above what an autoencoder keeps of them, and what its latents do one at a time."""

from collections.abc import Sequence

from jaxtyping import Float, Num
from matplotlib.figure import Figure
from torch import Tensor, stack

from .mosaic import mosaic
from .style import INK, WIDTH, bare, canvas


def reconstructions(images: Num[Tensor, "n c h w"], kept: Num[Tensor, "n c h w"], *, levels: int = 256,
                    names: Sequence[str] = ("images", "kept"), title: str = "") -> Figure:  # fmt: skip
    """Two rows, an image above its reconstruction, of pixel values 0 .. levels - 1.

    >>> import torch
    >>> reconstructions(torch.zeros(6, 1, 8, 8), torch.zeros(6, 1, 8, 8)).axes[0].get_images()[0].get_array().shape
    (17, 53, 4)
    """
    return _board(stack([images.float(), kept.float()]), list(names), levels, title)


def traversals(
    images: Float[Tensor, "places steps c h w"], *, names: Sequence[str] = (), levels: int = 256, title: str = ""
) -> Figure:
    """One row for each latent number, which moves from left to right while the others stay.

    >>> import torch
    >>> traversals(torch.zeros(3, 5, 1, 8, 8)).axes[0].get_images()[0].get_array().shape
    (26, 44, 4)
    """
    return _board(images, list(names) or [f"{i + 1}" for i in range(len(images))], levels, title)


def _board(images: Tensor, names: list[str], levels: int, title: str) -> Figure:
    rows, columns, _, height, width = images.shape
    # At most as large as images are elsewhere on a page.
    scale = min((WIDTH - 0.9) / (columns * (width + 1)), 0.7 / (height + 1))
    figure = canvas(WIDTH, rows * (height + 1) * scale + (0.5 if title else 0.15))
    axes = bare(figure.add_subplot(), title=title)
    axes.imshow(mosaic(images.float(), 0, levels - 1).numpy(), interpolation="nearest")
    axes.set_yticks([row * (height + 1) + (height - 1) / 2 for row in range(rows)], names)
    axes.tick_params(length=0, labelcolor=INK, labelsize=8)
    return figure
