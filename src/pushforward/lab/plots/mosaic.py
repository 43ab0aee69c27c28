"""Images side by side, as one picture."""

import torch
from jaxtyping import Float, Num
from torch import Tensor

from pushforward.core.errors import ShapeError


def mosaic(images: Num[Tensor, "rows columns c h w"], low: float = 0, high: float = 255,
           gap: int = 1) -> Float[Tensor, "height width 4"]:  # fmt: skip
    """Red, green, blue and opacity in [0, 1]; `gap` pixels between images let the paper through.

    Values outside `low` .. `high` are clipped. Raises `ShapeError` unless there are 1 or 3 channels.
    """
    rows, columns, channels, h, w = images.shape
    if channels not in (1, 3):
        raise ShapeError(f"expected images of 1 or 3 channels, got {channels}; pass the channels to show")
    pixels = ((images.detach().float().cpu() - low) / (high - low)).clamp(0, 1).expand(rows, columns, 3, h, w)
    tiles = torch.zeros(rows, columns, 4, h + gap, w + gap)
    tiles[:, :, :3, :h, :w] = pixels
    tiles[:, :, 3, :h, :w] = (~images.isnan()).all(2)  # an image of NaN is a place left empty
    return tiles.permute(0, 3, 1, 4, 2).reshape(rows * (h + gap), columns * (w + gap), 4)[
        : -gap or None, : -gap or None
    ]
