"""Symmetric tridiagonal systems, many at once, by parallel cyclic reduction.

Round r makes of each equation i one in x_{i - 2^r}, x_i and x_{i + 2^r}, by adding multiples of its two neighbours; after
log2(size) rounds each stands alone. More arithmetic than Gaussian elimination, but a handful of large operations
instead of a loop over the equations. Stable for diagonally dominant systems. Hockney and Jesshope, 1981, Parallel Computers.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def solve_tridiagonal(diagonal: Tensor, beside: Tensor, right: Tensor) -> Tensor:
    """x of A x = right, `(n, size, channels)`, for diagonals `(n, size, k)` and `(n, size - 1, k)` with k = channels or 1.

    A must be diagonally dominant.

    >>> solve_tridiagonal(torch.full((1, 2, 1), 2.0), torch.ones(1, 1, 1), torch.tensor([[[3.0], [3.0]]])).flatten()
    tensor([1., 1.])
    """
    return _Solve.apply(diagonal, beside, right)  # type: ignore[no-any-return]


class _Solve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, diagonal: Tensor, beside: Tensor, right: Tensor) -> Tensor:
        x = _reduce(diagonal, beside, right)
        ctx.save_for_backward(diagonal, beside, x)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        # right = A x, so A dx = dright - dA x, and A is symmetric: with A g = grad, dL = g' dright - g' dA x.
        diagonal, beside, x = ctx.saved_tensors
        g = _reduce(diagonal, beside, grad)
        to_diagonal = -(g * x)
        to_beside = -(g[:, 1:] * x[:, :-1] + g[:, :-1] * x[:, 1:])
        if diagonal.shape[2] != x.shape[2]:
            to_diagonal, to_beside = to_diagonal.sum(2, keepdim=True), to_beside.sum(2, keepdim=True)
        return to_diagonal, to_beside, g


def _reduce(diagonal: Tensor, beside: Tensor, right: Tensor) -> Tensor:
    size, none = diagonal.shape[1], torch.zeros_like(diagonal[:, :1])
    low, middle, high, x = torch.cat([none, beside], 1), diagonal, torch.cat([beside, none], 1), right
    step = 1
    while step < size:
        # What would reach over an end has a weight of zero there, since low or high is zero.
        up = -low[:, step:] / middle[:, :-step]
        down = -high[:, :-step] / middle[:, step:]
        new_middle, new_x = middle.clone(), x.clone()
        new_middle[:, step:] += up * high[:, :-step]
        new_middle[:, :-step] += down * low[:, step:]
        new_x[:, step:] += up * x[:, :-step]
        new_x[:, :-step] += down * x[:, step:]
        low = torch.cat([torch.zeros_like(low[:, :step]), up * low[:, :-step]], 1)
        high = torch.cat([down * high[:, step:], torch.zeros_like(high[:, :step])], 1)
        middle, x, step = new_middle, new_x, 2 * step
    return x / middle
