"""The last layer of a network, in the memory layout that its reader wants."""

import torch
from torch import Tensor, nn


class Head(nn.Module):
    """W h + b for h `(n, width)`; of width 0, a learned constant, which begins at zero. `zero` begins at zero always."""

    def __init__(self, width: int, outputs: int, zero: bool = False):
        super().__init__()
        self.linear = nn.Linear(width, outputs) if width else None
        self.constant = None if width else nn.Parameter(torch.zeros(outputs))
        if zero and self.linear is not None:
            nn.init.zeros_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)

    def forward(self, h: Tensor) -> Tensor:
        """`(n, outputs)`."""
        return self.columns(h).T if self.linear is None else self.linear(h)

    def columns(self, h: Tensor) -> Tensor:
        """The transpose `(outputs, n)`, contiguous: the matrix product writes it so for nothing, a copy would cost."""
        if self.linear is None:
            assert self.constant is not None
            return self.constant[:, None].expand(-1, len(h))
        return torch.addmm(self.linear.bias[:, None], self.linear.weight, h.T)
