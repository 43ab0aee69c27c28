"""The number of a class as a learned vector: the row of a table."""

import torch
from torch import Tensor, nn

from pushforward.core.errors import ShapeError


class ClassBias(nn.Module):
    """The vector `(n, width)` of each class number `(n,)`, zero at first; a number that is no class has the zero vector."""

    def __init__(self, classes: int, width: int):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(classes, width))

    def forward(self, condition: Tensor | None) -> Tensor:
        """Whole numbers, as floats. Raises `ShapeError` for no numbers, or for more than one a row."""
        if condition is None or condition.ndim != 1:
            got = "none" if condition is None else f"shape {tuple(condition.shape)}"
            raise ShapeError(f"expected the number of a class for every image, (n,), got {got}; pass condition=labels")
        # A product with 0 and 1 needs no look at the numbers, for which an accelerator would have to stop.
        return (condition.round()[:, None] == torch.arange(len(self.table), device=condition.device)).to(
            self.table.dtype
        ) @ self.table
