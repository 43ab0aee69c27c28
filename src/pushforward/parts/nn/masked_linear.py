"""A linear layer some of whose weights are held at zero: an output reads the inputs whose degree does not exceed its own."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class MaskedLinear(nn.Module):
    """W x + b with W_ij = 0 unless `sources[j] <= targets[i]`, for x `(n, len(sources))`.

    First weights are uniform within 1 / sqrt(number of inputs that the output reads), or zero with `zero`.
    """

    weight: nn.Parameter
    bias: nn.Parameter
    mask: Tensor

    def __init__(self, sources: Sequence[int], targets: Sequence[int], zero: bool = False):
        super().__init__()
        mask = torch.tensor(sources)[None, :] <= torch.tensor(targets)[:, None]
        reach = 0.0 if zero else mask.sum(1, keepdim=True).clamp(min=1).rsqrt()
        self.weight = nn.Parameter((torch.rand(mask.shape) * 2 - 1) * reach * mask)
        self.bias = nn.Parameter((torch.rand(len(targets), 1) * 2 - 1).mul_(reach)[:, 0])
        self.mask = nn.Buffer(mask.to(self.weight.dtype), persistent=False)

    def masked(self) -> Tensor:
        """The weights with zeros in their places, `(outputs, inputs)`; small beside the product with a batch."""
        return self.weight * self.mask

    def forward(self, x: Tensor) -> Tensor:
        """`(n, outputs)`."""
        return torch.addmm(self.bias, x, self.masked().T)

    def columns(self, x: Tensor) -> Tensor:
        """The transpose `(outputs, n)`, contiguous."""
        return torch.addmm(self.bias[:, None], self.masked(), x.T)
