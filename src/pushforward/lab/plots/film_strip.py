"""From noise to data: one row an image, one column a moment."""

from collections.abc import Sequence

from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from .mosaic import mosaic
from .style import INK, WIDTH, bare, canvas


def film_strip(frames: Float[Tensor, "frames n c h w"], *, captions: Sequence[str] | None = None, low: float = -1.0,
               high: float = 1.0, title: str = "") -> Figure:  # fmt: skip
    """Frames in the order of sampling, noise first, of `n` images; values outside `low` .. `high` are clipped.

    `captions` stand above the columns.

    >>> import torch
    >>> film_strip(torch.randn(9, 3, 1, 8, 8)).axes[0].get_images()[0].get_array().shape
    (26, 80, 4)
    """
    count, n, _, height, width = frames.shape
    scale = (WIDTH - 0.4) / (count * (width + 1))
    figure = canvas(WIDTH, n * (height + 1) * scale + (0.8 if title else 0.5))
    axes = bare(figure.add_subplot(), title=title)
    axes.imshow(mosaic(frames.transpose(0, 1), low, high).numpy(), interpolation="nearest")
    if captions is None:
        captions = ["noise", *[""] * (count - 2), "data"] if count > 1 else [""]
    axes.set_xticks([i * (width + 1) + (width - 1) / 2 for i in range(count)], list(captions))
    axes.tick_params(length=0, labelcolor=INK, labelsize=8)
    return figure
