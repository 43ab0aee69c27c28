"""A convolution over what comes before a pixel: rows from above, and columns to the left.

The window of the output at row r and column c is rows r - rows + 1 .. r (or, with `above`, the rows r - rows .. r - 1) and
columns c - left .. c + right. With `right` = 0 what comes later on the row is out of sight; at (r, c) itself a mask hides
channels whose group comes later than the output's, and with `own="hidden"` those of its own group as well:

    B:  group(input) <= group(output),        A:  group(input) < group(output).

Masks A and B of van den Oord et al. 2016, https://arxiv.org/abs/1601.06759, section 3.4.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register


@register
class MaskedConv(nn.Module):
    """`(n, inputs, height, width)` to `(n, outputs, height, width)`, with zeros around the image.

    Args:
        sources, targets: the group of each input and of each output, 0 for all by default.
        own: whether an output sees its own group at its own pixel (mask B) or not (mask A).

    Raises `ConfigError` for an empty window or groups that do not fit the channels.

    >>> conv = MaskedConv(1, 4, left=2, own="hidden")       # the two pixels to the left
    >>> x = torch.zeros(1, 1, 1, 5)
    >>> x[..., 2] = 1
    >>> (conv(x) != conv(torch.zeros_like(x))).any(1).flatten().tolist()
    [False, False, False, True, True]
    """

    mask: Tensor
    bias: nn.Parameter

    def __init__(self, inputs: int, outputs: int, rows: int = 1, left: int = 0, right: int = 0, *, above: bool = False,
                 sources: Sequence[int] | None = None, targets: Sequence[int] | None = None,
                 own: Literal["seen", "hidden"] = "seen"):  # fmt: skip
        super().__init__()
        if min(inputs, outputs, rows) < 1 or min(left, right) < 0:
            raise ConfigError(f"expected channels and rows of at least 1 and columns of at least 0, got {inputs} and {outputs} "
                              f"channels, {rows} rows, {left} and {right} columns")  # fmt: skip
        sources, targets = ([0] * k if g is None else list(g) for g, k in ((sources, inputs), (targets, outputs)))
        if len(sources) != inputs or len(targets) != outputs or own not in ("seen", "hidden"):
            raise ConfigError(f"expected a group for each of {inputs} inputs and {outputs} outputs, and own seen or hidden, got "
                              f"{len(sources)}, {len(targets)} and {own!r}")  # fmt: skip
        self.rows, self.left, self.right, self.above = rows, left, right, above
        conv = nn.Conv2d(inputs, outputs, (rows, left + 1 + right))
        assert isinstance(conv.bias, nn.Parameter)
        self.weight, self.bias = conv.weight, conv.bias
        mask = torch.ones_like(conv.weight)
        if not above:
            from_group, to_group = torch.tensor(sources)[None], torch.tensor(targets)[:, None]
            mask[:, :, -1, left] = (from_group <= to_group if own == "seen" else from_group < to_group).to(mask.dtype)
        self.mask = nn.Buffer(mask, persistent=False)

    def masked(self) -> Tensor:
        """The weight that is applied, `(outputs, inputs, rows, columns)`."""
        return self.weight * self.mask

    def forward(self, x: Float[Tensor, "n inputs height width"]) -> Float[Tensor, "n outputs height width"]:
        """The convolution at every pixel."""
        top = self.rows - 1
        x = x[:, :, :-1] if self.above else x
        x = functional.pad(x, (self.left, self.right, top + self.above, 0))
        return functional.conv2d(x, self.masked(), self.bias)
