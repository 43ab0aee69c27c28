"""Tensors are `(*batch, *event)`: the helpers that split, check and broadcast them, written once."""

import math
from collections.abc import Sequence

import torch
from torch import Size, Tensor

from .errors import ShapeError


def as_size(shape: int | Sequence[int]) -> Size:
    """Read `3` or `(3, 4)` as a `torch.Size`."""
    return Size((shape,)) if isinstance(shape, int) else Size(shape)


def require_tensor(value: object, name: str) -> Tensor:
    """Return `value` if it is a tensor; otherwise say how to make it one."""
    if not isinstance(value, Tensor):
        raise ShapeError(
            f"expected {name} as a torch.Tensor, got {type(value).__name__}; wrap it with torch.as_tensor({name})"
        )
    return value


def flatten_batch(x: Tensor, event_shape: Size, name: str = "x") -> tuple[Tensor, Size]:
    """Reshape `(*batch, *event)` to `(n, *event)` and return it with the batch shape.

    Raises `ShapeError` when the trailing dimensions are not `event_shape`.
    """
    require_tensor(x, name)
    split = x.ndim - len(event_shape)
    if split < 0 or x.shape[split:] != event_shape:
        raise ShapeError(f"expected {name} of shape (*batch, {', '.join(map(str, event_shape))}), got {tuple(x.shape)}; "
                         f"its last {len(event_shape)} dimensions must be {tuple(event_shape)}")  # fmt: skip
    batch = x.shape[:split]
    return x.reshape(math.prod(batch), *event_shape), batch


def flatten_condition(
    condition: Tensor | None, expected: Size | None, batch: Size, optional: bool = False
) -> Tensor | None:
    """Broadcast a condition `(*batch, *condition_shape)` against `batch` and flatten it to `(n, *condition_shape)`.

    `expected` is None for a model that takes no condition. Raises `ShapeError` for a condition that is missing,
    unexpected, or of the wrong shape.
    """
    if expected is None:
        if condition is not None:
            raise ShapeError("expected no condition, since this model was built without one, "
                             f"got one of shape {tuple(condition.shape)}; leave it out or build a conditional model")  # fmt: skip
        return None
    if condition is None:
        if optional:
            return None
        raise ShapeError(
            f"expected a condition of shape (*batch, {', '.join(map(str, expected))}), got none; pass condition="
        )
    flat, own_batch = flatten_batch(condition, expected, "condition")
    try:
        torch.broadcast_shapes(own_batch, batch)
        full = flat.reshape(own_batch + expected).expand(batch + expected)
    except RuntimeError:
        raise ShapeError(
            f"expected a condition whose batch shape broadcasts to {tuple(batch)}, got {tuple(own_batch)}"
        ) from None
    return full.reshape(math.prod(batch), *expected)


def expand_right(t: Tensor, like: Tensor) -> Tensor:
    """Append dimensions to `t` (scalar or `(n,)`) until it broadcasts against `like` of shape `(n, *event)`."""
    return t.reshape(*t.shape, *(1,) * (like.ndim - t.ndim)) if t.ndim else t


def sum_event(x: Tensor) -> Tensor:
    """Sum `(n, *event)` over everything but the first dimension."""
    return x.flatten(1).sum(1) if x.ndim > 1 else x


def match_dtype(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn integers into `dtype`; refuse a float of another precision, which would lose digits or time in silence."""
    if not x.is_floating_point():
        return x.to(dtype)
    if x.dtype != dtype:
        raise ShapeError(
            f"expected x of dtype {dtype}, got {x.dtype}; convert it with x.to({dtype}) or the model with model.to({x.dtype})"
        )
    return x
