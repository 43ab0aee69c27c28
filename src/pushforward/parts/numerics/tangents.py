"""Forward-mode derivatives of a function that has reverse-mode ones, for hand-written operations."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def tangents_of(function: Callable[..., tuple[Tensor, ...]], inputs: Sequence[Tensor], dots: Sequence[Tensor | None]) -> tuple[Tensor, ...]:  # fmt: skip
    """J v for each of the outputs, for v `dots`, one for each input and None for zero.

    PyTorch does not nest forward mode inside an operation of one's own; but u -> u'J, the gradient, is linear in u, and the
    gradient of that, its transpose, is v -> J v.

    >>> tangents_of(lambda x: (x**2,), [torch.tensor([3.0])], [torch.tensor([1.0])])
    (tensor([6.]),)
    """
    given = tuple(torch.zeros_like(p) if dot is None else dot for p, dot in zip(inputs, dots))
    whole: tuple[Any, ...] = torch.func.vjp(function, *inputs)
    outputs, pull = whole[0], whole[1]
    push = torch.func.vjp(lambda *bars: pull(bars), *(torch.zeros_like(out) for out in outputs))[1]
    return push(given)
