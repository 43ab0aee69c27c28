"""An input and its condition, side by side: the check that every conditional network makes."""

import torch
from torch import Tensor

from pushforward.core.errors import ShapeError


def join_condition(x: Tensor, condition: Tensor | None, inputs: int, width: int) -> Tensor:
    """x `(n, inputs)` and condition `(n, width)` as one `(n, inputs + width)`; no condition where `width` is 0.

    Raises `ShapeError` when either does not fit.
    """
    if x.ndim != 2 or x.shape[1] != inputs:
        raise ShapeError(f"expected x of shape (n, {inputs}), got {tuple(x.shape)}; build the network for these inputs")
    if not width:
        if condition is not None:
            raise ShapeError(f"expected no condition, since this network was built without one, got one of shape "
                             f"{tuple(condition.shape)}; build it with condition={condition.shape[-1] if condition.ndim else 1}")  # fmt: skip
        return x
    if condition is None or condition.shape != (len(x), width):
        got = "none" if condition is None else f"one of shape {tuple(condition.shape)}"
        raise ShapeError(
            f"expected a condition of shape ({len(x)}, {width}), got {got}; pass one row for every row of x"
        )
    return torch.cat([x, condition], 1) if inputs else condition
